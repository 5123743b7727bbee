/**
 * What the README's `api` does with curl, for machines without it: `[-X METHOD] URL [-d BODY]`, with
 * the key in `KEY`. Prints the body of the response.
 */
const options = new Map<string, string>()
let url = ""
for (let index = 0; index < Deno.args.length; index++) {
  const argument = Deno.args[index] ?? ""
  if (argument.startsWith("-")) options.set(argument, Deno.args[++index] ?? "")
  else url = argument
}
const body = options.get("-d")
const response = await fetch(url, {
  method: options.get("-X") ?? (body === undefined ? "GET" : "POST"),
  headers: {
    authorization: `Bearer ${Deno.env.get("KEY")}`,
    "content-type": "application/json",
  },
  ...(body === undefined ? {} : { body }),
})
console.log(await response.text())
