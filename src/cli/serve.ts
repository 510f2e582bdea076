import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import { MixSpec } from "../contract/mix-spec.ts";
import { errorInfo } from "../core/error.ts";
import { createLogger, type Logger } from "../core/log.ts";
import { RtmpGate } from "../door/rtmp-gate.ts";
import { Dispatcher } from "../rpc/dispatch.ts";
import { unsupportedRoutes } from "../rpc/not-supported.ts";
import { Service } from "../service/service.ts";
import { Metrics } from "../web/metrics.ts";
import { WebServer } from "../web/server.ts";
import { type ServeConfig, serveConfig, workerThreads } from "./config.ts";
import { inUrl, type ListenAddress, listenAddress, requireToken } from "./listen-address.ts";
import { Prober } from "./prober.ts";
import { tlsOptions } from "./tls-files.ts";
import { version } from "./version.ts";

/** The suffix of our modules: from source they are TypeScript, built they are not. */
const SUFFIX = import.meta.filename.endsWith(".js") ? ".js" : ".ts";
const WORKER = fileURLToPath(new URL(`../session/worker-main${SUFFIX}`, import.meta.url));

/** The mix of `--demo`: four people who move and speak, each at a pitch of their own. */
const DEMO: MixSpec = MixSpec.parse({
  id: "demo",
  name: "Demo",
  sources: [
    { kind: "test", id: "ada", name: "Ada", pattern: "moving", tone: 220 },
    { kind: "test", id: "ben", name: "Ben", pattern: "counter", tone: 330 },
    { kind: "test", id: "cleo", name: "Cleo", pattern: "bars", tone: 440 },
    { kind: "test", id: "dan", name: "Dan", pattern: "flashbeep", tone: 880 },
  ],
});

/**
 * `tessera serve`: runs a node until SIGTERM or SIGINT, then lets it finish what it writes. Returns the exit code:
 * 2 for settings that are not valid, 1 if it cannot start.
 */
export async function runServe(argv: readonly string[]): Promise<number> {
  let config: ServeConfig;
  let doors: Doors;
  try {
    config = serveConfig({ argv, env: process.env });
    doors = doorsOf(config);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    return complain(error, 2);
  }
  try {
    await serve(config, doors);
    return 0;
  } catch (error) {
    return complain(error, 1);
  }
}

function complain(error: unknown, code: number): number {
  process.stderr.write(`tessera serve: ${errorInfo(error).message.replace(/^: /, "")}\n`);
  return code;
}

/** Where a node listens; undefined is off. */
interface Doors {
  readonly http: ListenAddress | undefined;
  readonly rtmp: ListenAddress | undefined;
  readonly rtmps: ListenAddress | undefined;
}

function doorsOf(config: ServeConfig): Doors {
  const doorOf = (name: keyof Doors): ListenAddress | undefined => {
    const address = listenAddress(config[name], name);
    requireToken(address, config.token, name);
    return address;
  };
  return { http: doorOf("http"), rtmp: doorOf("rtmp"), rtmps: doorOf("rtmps") };
}

async function serve(config: ServeConfig, doors: Doors): Promise<void> {
  const log = createLogger(config.log, { node: config.node });
  const signals = new Signals();
  await using service = await openService(config, doors, log);
  using metrics = new Metrics(service);
  const rpc = new Dispatcher(metrics, log);
  await using gate = new RtmpGate(service.publishers, log);
  metrics.watch(gate);
  if (doors.rtmp !== undefined) await gate.listen(doors.rtmp);
  if (doors.rtmps !== undefined) await gate.listen(doors.rtmps, tlsOptions(config.tlsCert, config.tlsKey));
  await using web = await openWeb(config, doors, { service, rpc, metrics, log });
  if (config.demo && !service.has(DEMO.id ?? "")) {
    await service.run({ mix: DEMO.id, body: null }, async () => void (await service.create(DEMO)));
  }
  announce(config, web);
  const signal = await signals.first;
  log.info({ signal }, "stopping");
}

function openService(config: ServeConfig, doors: Doors, log: Logger): Promise<Service> {
  return Service.open({
    node: config.node,
    version: version(),
    dataDir: config.data,
    fileDirs: config.files,
    // Without a token only this machine's own users get in, and loopback is theirs.
    destinations: { allow: config.allow, loopback: config.token === undefined },
    token: config.token,
    rtmpUrl: doors.rtmp === undefined ? undefined : rtmpUrl(config, doors.rtmp),
    worker: { entry: WORKER, env: workerEnv(config) },
    prober: new Prober(),
    mixesPerWorker: config.mixesPerWorker,
    maxWorkers: config.workers,
    log,
    logLevel: config.log,
  });
}

/** A worker is told what it needs, and no token. */
function workerEnv(config: ServeConfig): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TESSERA_"));
  return {
    ...Object.fromEntries(inherited),
    TESSERA_LOG: config.log,
    UV_THREADPOOL_SIZE: String(workerThreads()),
    NODE_COMPILE_CACHE: resolve(config.data, "cache", "node"),
    NODE_USE_SYSTEM_CA: process.env.NODE_USE_SYSTEM_CA ?? "1",
  };
}

function rtmpUrl(config: ServeConfig, { host, port }: ListenAddress): string {
  const isAny = host === "0.0.0.0" || host === "::";
  const shown = isAny && config.publicUrl !== undefined ? new URL(config.publicUrl).hostname : inUrl(host);
  return `rtmp://${shown}:${port}`;
}

type WebParts = Pick<Parameters<typeof WebServer.listen>[0], "service" | "rpc" | "metrics" | "log">;

async function openWeb(
  config: ServeConfig,
  { http }: Doors,
  parts: WebParts,
): Promise<WebServer | undefined> {
  if (http === undefined) return undefined;
  const { publicUrl, origin } = config;
  const origins = origin.map((one) => new URL(one).origin);
  return await WebServer.listen({
    ...http,
    publicUrl,
    origins,
    ...parts,
    unsupportedRoutes: unsupportedRoutes(),
  });
}

/** One line on stdout, for people and for whoever starts us. */
function announce(config: ServeConfig, web: WebServer | undefined): void {
  if (web === undefined) return void process.stdout.write("Tessera runs, with HTTP off\n");
  const { host, port } = web.address;
  const url = config.publicUrl ?? `http://${host === "127.0.0.1" ? "localhost" : inUrl(host)}:${port}/`;
  process.stdout.write(`Tessera runs at ${url}\n`);
}

/** The first signal ends the node in order, the second at once. */
class Signals {
  readonly first: Promise<string>;

  constructor() {
    const { promise, resolve: tell } = Promise.withResolvers<string>();
    this.first = promise;
    let count = 0;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        count += 1;
        if (count > 1) process.exit(1);
        tell(signal);
      });
    }
  }
}
