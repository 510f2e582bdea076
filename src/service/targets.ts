import type { OutputSpec } from "../contract/output-spec.ts";
import type { MixState } from "../contract/worker.ts";
import { InvalidArgumentError } from "../core/error.ts";
import { bareHost } from "../core/host.ts";

const RTMP_PORTS: Readonly<Record<string, string>> = { "rtmp:": "1935", "rtmps:": "443" };

/** What only one output may write to: two on one stream key or file would destroy each other. Equal texts are one. */
export function exclusiveTargets(output: OutputSpec): ReadonlySet<string> {
  if (output.kind === "file") return new Set([`file ${output.path}`]);
  if (output.kind !== "rtmp") return new Set();
  const urls = output.backupUrl === undefined ? [output.url] : [output.url, output.backupUrl];
  return new Set(urls.map(streamKey));
}

/** The same for every way to write the URL of one stream key; the query is a part of the key. */
function streamKey(text: string): string {
  const url = URL.parse(text);
  if (url === null) return text;
  const host = bareHost(url.hostname).toLowerCase().replace(/\.$/, "");
  const port = url.port === "" ? RTMP_PORTS[url.protocol] : url.port;
  return `rtmp ${host} ${port} ${url.pathname}${url.search}`;
}

/** Mixes as far as their targets are concerned. */
export interface TargetOwners {
  mixes(): Iterable<{ readonly id: string; readonly state: MixState }>;
}

/** Keeps the outputs of all mixes of a node apart. */
export class Targets {
  readonly #owners: TargetOwners;
  /** Targets to the mix that is about to have them. */
  readonly #reserved = new Map<string, string>();

  constructor(owners: TargetOwners) {
    this.#owners = owners;
  }

  /**
   * Takes what a mix's next state writes to and its present one does not; dispose it when the mix is in that state, or
   * will not be. Call within the order of the mix.
   *
   * @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if another mix writes to the same file or stream key.
   */
  reserve(next: MixState): Disposable {
    const taken = new Map(this.#reserved);
    const own = new Set<string>();
    for (const { id, state } of this.#owners.mixes()) {
      for (const target of state.outputs.flatMap((output) => [...exclusiveTargets(output)])) {
        if (id === next.id) own.add(target);
        else taken.set(target, id);
      }
    }
    const added: string[] = [];
    for (const [index, output] of next.outputs.entries()) {
      for (const target of exclusiveTargets(output)) {
        const owner = own.has(target) ? undefined : taken.get(target);
        if (owner !== undefined)
          throw new InvalidArgumentError(`/outputs/${index}`, `mix ${owner} has an output that goes there`);
        if (!own.has(target)) added.push(target);
      }
    }
    for (const target of added) this.#reserved.set(target, next.id);
    return {
      [Symbol.dispose]: () => {
        for (const target of added) this.#reserved.delete(target);
      },
    };
  }
}
