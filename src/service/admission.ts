import { Resolver } from "node:dns/promises";
import { realpathSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { OutputSpec } from "../contract/output-spec.ts";
import type { SourceSpec } from "../contract/source-spec.ts";
import { type DestinationPolicy, literalAddress } from "../core/destinations.ts";
import { ForbiddenError, InvalidArgumentError } from "../core/error.ts";
import { localPath } from "../core/pull-url.ts";
import { within } from "./time.ts";

export interface AdmissionOptions {
  readonly destinations: DestinationPolicy;
  /** Where recordings lie; output paths are inside. */
  readonly recordingsDir: string;
  /** Folders that pulls may read files from. */
  readonly fileDirs: readonly string[];
}

const PULL_SCHEMES = ["rtmp", "rtmps", "rtsp", "rtsps", "srt", "http", "https"];
const PUSH_SCHEMES = ["rtmp", "rtmps"];
/** A name server may be slow, a caller must not wait for it; the worker checks again what it connects to. */
const RESOLVE_MS = 1000;

/** Decides what sources and outputs may touch: hosts by the destination policy, files by their real path. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Checks a source; a file's path becomes its real path.
   *
   * @param pointer where the source stands in the caller's parameters.
   * @throws {ForbiddenError} `ERR_FORBIDDEN` a host or file that is not allowed.
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` a URL that is none, or of another scheme.
   */
  async source<S extends SourceSpec>(source: S, pointer: string): Promise<S> {
    if (source.kind !== "pull") return source;
    const at = `${pointer}/url`;
    const file = localPath(source.url, at);
    if (file === undefined) await this.#checkUrl(source.url, PULL_SCHEMES, at);
    return file === undefined ? source : { ...source, url: this.#readable(file, at) };
  }

  /** Checks an output, as {@link source}; a recording's path becomes relative to the folder of recordings. */
  async output<O extends OutputSpec>(output: O, pointer: string): Promise<O> {
    if (output.kind === "file") return { ...output, path: this.#writable(output.path, `${pointer}/path`) };
    if (output.kind === "rtp") await this.#checkHost(output.host, `${pointer}/host`);
    if (output.kind !== "rtmp") return output;
    await this.#checkUrl(output.url, PUSH_SCHEMES, `${pointer}/url`);
    if (output.backupUrl !== undefined) {
      await this.#checkUrl(output.backupUrl, PUSH_SCHEMES, `${pointer}/backupUrl`);
    }
    return output;
  }

  async #checkUrl(text: string, schemes: readonly string[], pointer: string): Promise<void> {
    const url = URL.parse(text);
    const scheme = url?.protocol.slice(0, -1) ?? "";
    if (url === null) throw new InvalidArgumentError(pointer, "is not a URL");
    if (!schemes.includes(scheme)) {
      throw new InvalidArgumentError(pointer, `has scheme ${scheme}; known are ${schemes.join(", ")}`);
    }
    if (url.hostname === "") throw new InvalidArgumentError(pointer, "has no host");
    await this.#checkHost(decodeURIComponent(url.hostname), pointer);
  }

  async #checkHost(host: string, pointer: string): Promise<void> {
    try {
      const literal = literalAddress(host);
      const addresses = literal === undefined ? await resolveHost(host) : [literal];
      if (addresses !== undefined) this.#options.destinations.check(host, addresses);
    } catch (error) {
      if (error instanceof InvalidArgumentError) throw new InvalidArgumentError(pointer, "names no host");
      throw error instanceof ForbiddenError ? new ForbiddenAt(pointer, error.message) : error;
    }
  }

  #readable(path: string, pointer: string): string {
    const dirs = this.#options.fileDirs.map(realPath);
    const candidates = isAbsolute(path) ? [path] : dirs.map((dir) => join(dir, path));
    const found = candidates.map(realPath).find((one) => dirs.some((dir) => isInside(one, dir)));
    if (found !== undefined) return found;
    throw new ForbiddenAt(pointer, "is in none of the folders that --files names");
  }

  #writable(path: string, pointer: string): string {
    if (path.includes("\0")) throw new InvalidArgumentError(pointer, "is not a path");
    const root = realPath(this.#options.recordingsDir);
    const real = realPath(resolve(root, path));
    if (!isInside(real, root)) throw new ForbiddenAt(pointer, "leaves the folder of recordings");
    return relative(root, real);
  }
}

/** An `ERR_FORBIDDEN` that says where in the request it stands. */
class ForbiddenAt extends ForbiddenError {
  override readonly pointer: string;

  constructor(pointer: string, problem: string) {
    super(`${pointer}: ${problem}`);
    this.pointer = pointer;
  }
}

/** Where a path really leads; what does not exist yet is judged by the nearest folder that does. */
function realPath(path: string): string {
  const full = resolve(path);
  try {
    return realpathSync(full);
  } catch {
    const parent = dirname(full);
    return parent === full ? full : join(realPath(parent), full.slice(parent.length).replace(/^[/\\]+/, ""));
  }
}

const isInside = (path: string, folder: string): boolean => path.startsWith(folder + sep);

/**
 * All addresses of a name, or undefined if none are known in time: then there is nothing to forbid yet, and the
 * worker checks what it connects to. Asks DNS itself: `getaddrinfo` holds a pool thread while a server is mute.
 */
async function resolveHost(host: string): Promise<string[] | undefined> {
  // RFC 6761 §6.3: these never leave the machine.
  if (/(^|\.)localhost\.?$/i.test(host)) return ["127.0.0.1", "::1"];
  const resolver = new Resolver({ timeout: RESOLVE_MS, tries: 1 });
  const asked = Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
  const answers = await within(asked, RESOLVE_MS, []);
  resolver.cancel();
  const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  return found.length === 0 ? undefined : found;
}
