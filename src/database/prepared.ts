/**
 * Statements whose text is put together once.
 *
 * A template of `sql` becomes text each time that it runs, and the client looks its prepared statement
 * up by that text: for the statements that most requests are, this takes longer than to encode what
 * they send.
 */
import type { SqlClient, Statement } from "effect/sql"

/** A template like those of `sql`, whose parameters are the names of an input's properties. */
export const prepared = <Input extends object>(sql: SqlClient.SqlClient) =>
(
  template: TemplateStringsArray,
  ...parts: ReadonlyArray<Statement.Fragment | (keyof Input & string)>
) => {
  // The parameters are the names, also those in fragments, which are not checked to be the input's.
  const [text, names] = sql(template, ...parts).compile()
  // Not unsafe: it takes the text of a template, and values only as parameters.
  return (input: Input): Statement.Statement<object> =>
    sql.unsafe(text, names.map((name) => input[name as keyof Input]))
}
