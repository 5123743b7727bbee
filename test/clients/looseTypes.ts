/**
 * Fails where a generator of clients made `any` or `unknown` of something in the document: walks all
 * types and zod schemas that the generated files export.
 */
import ts from "typescript"

const generated = ["hey-api/types.gen.ts", "orval.ts", "zodios.ts", "swagger.ts"]
  .map((file) => `${import.meta.dirname}/generated/${file}`)

/** Machinery of the generators, whose types are theirs to choose. */
const machinery: Readonly<Record<string, ReadonlySet<string>>> = {
  "swagger.ts": new Set([
    "QueryParamsType",
    "FullRequestParams",
    "RequestParams",
    "ApiConfig",
    "HttpResponse",
    "HttpClient",
    "Api",
    "ContentType",
    "ResponseFormat",
  ]),
  "zodios.ts": new Set(["api", "createApiClient"]),
}

const { config } = ts.readConfigFile(`${import.meta.dirname}/tsconfig.json`, ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, String(import.meta.dirname))
const program = ts.createProgram(generated, options)
const checker = program.getTypeChecker()

/** The places at which a type is `any` or `unknown`. */
const looseIn = (
  type: ts.Type,
  path: string,
  file: ts.SourceFile,
  seen: ReadonlySet<ts.Type> = new Set(),
): ReadonlyArray<string> => {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return [path]
  if (seen.has(type)) return []
  const within = new Set([...seen, type])
  const walk = (inner: ts.Type, name: string) => looseIn(inner, `${path}${name}`, file, within)
  if (type.isUnionOrIntersection()) return type.types.flatMap((member) => walk(member, ""))
  if (checker.isArrayType(type)) {
    return checker.getTypeArguments(type as ts.TypeReference).flatMap((item) => walk(item, "[]"))
  }
  if (type.flags & ts.TypeFlags.Object) {
    return type.getProperties().flatMap((property) =>
      walk(checker.getTypeOfSymbolAtLocation(property, file), `.${property.name}`)
    )
  }
  return []
}

let walked = 0
const loose: Array<string> = []
for (const path of generated) {
  const file = program.getSourceFile(path)
  const module = file && checker.getSymbolAtLocation(file)
  if (file === undefined || module === undefined) throw new Error(`${path} was not generated`)
  const name = path.slice(path.lastIndexOf("/") + 1)
  for (const symbol of checker.getExportsOfModule(module)) {
    if (machinery[name]?.has(symbol.name)) continue
    const isType = (symbol.flags & (ts.SymbolFlags.TypeAlias | ts.SymbolFlags.Interface)) !== 0
    const type = isType
      ? checker.getDeclaredTypeOfSymbol(symbol)
      : checker.getTypeOfSymbolAtLocation(symbol, file)
    // What a zod schema takes and gives; `schemas` of openapi-zod-client has several of them.
    const schemas = type.getProperty("_output") === undefined && symbol.name === "schemas"
      ? type.getProperties().map((property) => checker.getTypeOfSymbolAtLocation(property, file))
      : [type]
    for (const schema of schemas) {
      const sides = ["_input", "_output"].flatMap((side) => schema.getProperty(side) ?? [])
      const types = sides.length === 0
        ? [schema]
        : sides.map((side) => checker.getTypeOfSymbolAtLocation(side, file))
      walked++
      loose.push(...types.flatMap((type) => looseIn(type, `${name} ${symbol.name}`, file)))
    }
  }
}
if (walked < 200) throw new Error(`Only ${walked} types were found`)
if (loose.length > 0) throw new Error(`Types were lost:\n${[...new Set(loose)].join("\n")}`)
