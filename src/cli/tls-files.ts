import { readFileSync } from "node:fs";
import type { TlsOptions } from "node:tls";
import { InvalidArgumentError } from "../core/error.ts";

/** Certificates and key from their files. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` */
export function tlsOptions(cert: string | undefined, key: string | undefined): TlsOptions {
  if (cert === undefined || key === undefined) {
    throw new InvalidArgumentError("rtmps", "needs --tls-cert and --tls-key");
  }
  try {
    return { cert: readFileSync(cert), key: readFileSync(key) };
  } catch (cause) {
    throw new InvalidArgumentError(
      "rtmps",
      `certificate or key cannot be read: ${(cause as Error).message}`,
      { cause },
    );
  }
}
