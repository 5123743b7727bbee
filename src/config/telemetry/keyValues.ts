/**
 * Lists of keys and values, as OpenTelemetry writes them in one variable: `key=value,other=value`, each
 * percent-encoded (https://opentelemetry.io/docs/specs/otel/resource/sdk/).
 */
import { Option, Result } from "effect"

const decode = (text: string) => decodeURIComponent(text.trim())

/** The values by their keys; none where the text is no such list. A key that comes twice has its last. */
export const parseKeyValues = (text: string): Option.Option<Readonly<Record<string, string>>> =>
  Result.getSuccess(Result.try(() =>
    Object.fromEntries(
      text.split(",").map((entry) => {
        const equals = entry.indexOf("=")
        const key = decode(entry.slice(0, Math.max(0, equals)))
        if (key === "") throw new TypeError("An entry without a key")
        return [key, decode(entry.slice(equals + 1))]
      }),
    )
  ))

/** Whether they can be headers of a request: names and values that HTTP has (RFC 9110, 5.5). */
export const areHeaders = (values: Readonly<Record<string, string>>): boolean =>
  Result.isSuccess(Result.try(() => new Headers({ ...values })))
