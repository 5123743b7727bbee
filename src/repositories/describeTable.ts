/**
 * Tables, described once: what statements list of a table's columns comes from its description.
 *
 * All of it is text of this code, never of a request.
 */
import type { SqlClient, Statement } from "effect/sql"

export interface Column {
  /** PostgreSQL's type of what insertions send; absent where none does. */
  readonly input?: string
  /** The expression that reads it, where it is not the column by itself. */
  readonly output?: string
}

/** The columns of an insertion, and what is selected for them. */
export interface Insertion {
  readonly names: Statement.Fragment
  readonly values: Statement.Fragment
}

/**
 * What an insertion computes: an expression, or a function of what was sent for the row's columns. Null
 * is what a column gets without.
 */
type Computed<Property extends string> = Readonly<
  Partial<
    Record<
      Property,
      string | ((given: Readonly<Record<Property, Statement.Fragment>>) => Statement.Fragment)
    >
  >
>

/** The columns in a row that were given names with a prefix by `aliases`, without it. */
export const columnsIn = (row: object, prefix: string) =>
  Object.fromEntries(
    Object.entries(row)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  )

/** `fullName` is the column `full_name`. */
const columnName = (property: string) =>
  property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/**
 * Describes a table by the properties of its model; the compiler makes sure that none is missing.
 */
export const describeTable = <Property extends string>(
  name: string,
  model: { readonly fields: Readonly<Record<Property, unknown>> },
  columns: Readonly<Record<Property, Column>>,
) =>
(sql: SqlClient.SqlClient) => {
  const described = Object.keys(model.fields).map((property): [string, Column] => [
    property,
    columns[property as Property], // a key of the model's fields
  ])
  const inputs = described.flatMap(([property, { input }]) =>
    input === undefined ? [] : [{ property, type: input }]
  )

  const insertion = (
    given: ReadonlyArray<readonly [property: string, value: Statement.Fragment]>,
    computed: Computed<Property> | undefined,
  ): Insertion => {
    // Whoever computes from a column that is not sent finds none, which the first use shows.
    const sent = Object.fromEntries(given) as Record<Property, Statement.Fragment>
    const values = new Map([
      ...given,
      ...Object.entries<Computed<Property>[Property]>(computed ?? {}).map((
        [property, value = "NULL"],
      ) => [property, typeof value === "string" ? sql.literal(value) : value(sent)] as const),
    ])
    return {
      names: sql.literal([...values.keys()].map(columnName).join(", ")),
      values: sql.join(", ", false)([...values.values()]),
    }
  }

  return {
    name: sql`${sql(`public.${name}`)}`,

    column: (property: Property) => sql(columnName(property)),

    /** All columns of a row, as the model names them. */
    columns: sql.literal(
      described
        .map(([property, { output = columnName(property) }]) => `${output} AS "${property}"`)
        .join(", "),
    ),

    /** The same, each by its name behind a prefix, for a subquery's list of columns. */
    aliases: (prefix: string) =>
      sql.literal(described.map(([property]) => `"${prefix}${property}"`).join(", ")),

    /**
     * A row that a `prepared` statement inserts: of its parameters, and of the expressions in `computed`.
     * The parameter `fingerprint` tells what request it came from; see `makeCreate`.
     */
    parameters: (computed?: Computed<Property>) =>
      insertion([
        ...inputs.map(({ property, type }) =>
          [property, sql`${property}::${sql.literal(type)}`] as const
        ),
        ["idempotencyFingerprint", sql`${"fingerprint"}::bytea`],
      ], computed),

    /** Rows that a group inserts, of a `recordset`. */
    records: (computed?: Computed<Property>) =>
      insertion(
        inputs.map(({ property }) => [property, sql.literal(`input."${property}"`)] as const),
        computed,
      ),

    /** Rows of JSON as the table `input`, with the `others` besides the table's columns. */
    recordset: (json: string, others: Readonly<Record<string, string>> = {}) => {
      const types = [
        ...inputs.map(({ property, type }) => `"${property}" ${type}`),
        ...Object.entries(others).map(([property, type]) => `"${property}" ${type}`),
      ]
      return sql`json_to_recordset(${json}::json) AS input (${sql.literal(types.join(", "))})`
    },
  }
}
