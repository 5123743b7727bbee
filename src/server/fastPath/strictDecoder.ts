/**
 * A decoder that names all that is wrong with its input, and takes no longer for that where nothing is.
 *
 * The schema compiler has a fast path, but not for those that ask for all errors or refuse properties
 * that are not known. So a flat object is first decoded without either, if it has no such property.
 */
import { Predicate, Result, Schema, SchemaAST } from "effect"

export type Decode = (input: unknown) => Result.Result<unknown, Schema.SchemaError>

const scalars: ReadonlySet<SchemaAST.AST["_tag"]> = new Set([
  "String",
  "Number",
  "Boolean",
  "Null",
  "Literal",
  "TemplateLiteral",
])

const isScalar = (ast: SchemaAST.AST): boolean =>
  SchemaAST.isUnion(ast) ? ast.types.every(isScalar) : scalars.has(ast._tag)

/** What an object may consist of; none where a property may be an object in its turn. */
const flatProperties = (schema: Schema.Top): ReadonlySet<PropertyKey> | undefined => {
  const ast = SchemaAST.toEncoded(schema.ast)
  return SchemaAST.isObjects(ast) && ast.indexSignatures.length === 0 &&
      ast.propertySignatures.every(({ type }) => isScalar(type))
    ? new Set(ast.propertySignatures.map(({ name }) => name))
    : undefined
}

/** Decodes as `options` say, which are to be those of strict input. */
export const strictDecoder = (
  schema: Schema.Codec<unknown>,
  options: SchemaAST.ParseOptions,
): Decode => {
  const strict = Schema.decodeUnknownResult(schema, options)
  const known = flatProperties(schema)
  if (known === undefined) return strict
  const quick = Schema.decodeUnknownResult(schema)
  return (input) => {
    if (Predicate.isObject(input) && Object.keys(input).every((name) => known.has(name))) {
      const decoded = quick(input)
      if (Result.isSuccess(decoded)) return decoded
    }
    return strict(input)
  }
}
