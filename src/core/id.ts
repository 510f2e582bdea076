import { randomBytes } from "node:crypto";

/** What every id of a mix, source, view, output, template or asset looks like. */
export const ID_PATTERN: RegExp = /^[A-Za-z0-9_-]{1,64}$/;

/** A fresh id: `prefix-` and 64 random bits in base64url. */
export const newId = (prefix: string): string => `${prefix}-${randomBytes(8).toString("base64url")}`;
