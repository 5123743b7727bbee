/**
 * A certificate for 127.0.0.1 that nobody else has signed, as PEM (RFC 5280, in DER as X.690 has it).
 */
import { generateKeyPairSync, sign } from "node:crypto"

/** An element of a tag and its content, which is shorter than 64 KiB. */
const element = (tag: number, ...contents: ReadonlyArray<Uint8Array>): Uint8Array => {
  const content = Buffer.concat(contents)
  const { length } = content
  const lengthBytes = length < 128
    ? [length]
    : length < 256
    ? [0x81, length]
    : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Uint8Array.from([tag, ...lengthBytes]), content])
}

const sequence = (...contents: ReadonlyArray<Uint8Array>) => element(0x30, ...contents)
const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)
const object = (...values: ReadonlyArray<number>) => element(0x06, bytes(...values))

const ecdsaWithSha256 = sequence(object(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02))
const commonName = object(0x55, 0x04, 0x03)
const subjectAltName = object(0x55, 0x1d, 0x11)

const text = (value: string) => new TextEncoder().encode(value)

const pem = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString("base64")}\n-----END ${label}-----\n`

/** Makes a certificate, valid for ever, and its key. */
export const makeSelfSigned = () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const name = sequence(element(0x31, sequence(commonName, element(0x0c, text("latchkey test")))))
  const validity = sequence(
    element(0x18, text("20200101000000Z")),
    element(0x18, text("99991231235959Z")),
  )
  const address = sequence(element(0x87, bytes(127, 0, 0, 1)))
  const extensions = sequence(sequence(subjectAltName, element(0x04, address)))
  const content = sequence(
    element(0xa0, element(0x02, bytes(2))),
    element(0x02, bytes(1)),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ type: "spki", format: "der" }),
    element(0xa3, extensions),
  )
  const signature = element(0x03, bytes(0), sign("sha256", content, privateKey))
  return {
    certificate: pem("CERTIFICATE", sequence(content, ecdsaWithSha256, signature)),
    key: String(privateKey.export({ type: "pkcs8", format: "pem" })),
  }
}
