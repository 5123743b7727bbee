/**
 * Writes the OpenAPI document to the file that is named: what `deno task check:clients` begins with.
 */
import { dirname } from "node:path"
import { OpenApi } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"

const [file] = Deno.args
if (file === undefined) throw new Error("Name the file to write")
await Deno.mkdir(dirname(file), { recursive: true })
await Deno.writeTextFile(file, JSON.stringify(OpenApi.fromApi(Api), undefined, 2))
