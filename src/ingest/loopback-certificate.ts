import { generateKeyPairSync, sign } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";

/** DER tags, X.690 §8. */
const DER = { integer: 2, bitString: 3, utf8: 12, utcTime: 23, sequence: 48, set: 49 } as const;
/** ecdsa-with-SHA256, RFC 5758 §3.2. */
const ECDSA_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
/** id-at-commonName, RFC 5280 appendix A.1. */
const COMMON_NAME = Buffer.from("0603550403", "hex");

/**
 * A server's TLS context with a key made now and a certificate signed by itself (RFC 5280 §4.1, version 1).
 *
 * For a client in this process that does not check it; nobody else is to trust it.
 */
export function loopbackContext(): SecureContext {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = der(DER.sequence, ECDSA_SHA256);
  const name = der(
    DER.sequence,
    der(DER.set, der(DER.sequence, COMMON_NAME, der(DER.utf8, Buffer.from("loopback")))),
  );
  const content = der(
    DER.sequence,
    der(DER.integer, Buffer.from([1])),
    algorithm,
    name,
    der(DER.sequence, time("200101000000Z"), time("491231235959Z")),
    name,
    publicKey.export({ type: "spki", format: "der" }),
  );
  const signature = der(DER.bitString, Buffer.from([0]), sign("sha256", content, privateKey));
  const certificate = der(DER.sequence, content, algorithm, signature);
  return createSecureContext({
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`,
  });
}

/** A value with its tag and length, the length in one to three bytes. */
function der(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const prefix = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...prefix]), body]);
}

const time = (text: string): Buffer => der(DER.utcTime, Buffer.from(text));
