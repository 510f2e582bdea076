import { readdirSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { probe } from "../kit/judge.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, NODE, Program, runToEnd, until } from "../kit/process.ts";
import { type RpcAnswer, tempFolder } from "../service/fixtures/node.ts";

const START_MS = 40_000;

/** `tessera serve` as a user starts it, on free ports, with its data in `data`. */
class Served implements AsyncDisposable {
  readonly program: Program;
  readonly url: string;
  readonly rtmpPort: number;
  readonly #token: string | undefined;

  private constructor(program: Program, url: string, rtmpPort: number, token: string | undefined) {
    this.program = program;
    this.url = url;
    this.rtmpPort = rtmpPort;
    this.#token = token;
  }

  static async start(data: string, args: readonly string[] = [], token?: string): Promise<Served> {
    const [http, rtmp] = [await freePort(), await freePort()];
    const doors = ["--http", `127.0.0.1:${http}`, "--rtmp", `127.0.0.1:${rtmp}`, "--data", data];
    const secret = token === undefined ? [] : ["--token", token];
    const argv = ["src/cli/main.ts", "serve", ...doors, ...secret, ...args];
    const program = await Program.start(NODE, argv, { maxMs: 120_000 });
    await program.waitFor(/Tessera runs at http/, START_MS);
    return new Served(program, `http://127.0.0.1:${http}`, rtmp, token);
  }

  /** The result; what the node calls retryable is tried again, as a caller of a busy machine would. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async rpc(method: string, params: unknown = {}): Promise<any> {
    const answer = await until(`an answer to ${method}`, () => this.#ask(method, params), 40_000);
    if (answer.error !== undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  }

  async #ask(method: string, params: unknown): Promise<RpcAnswer | undefined> {
    const authorization = this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
    const response = await fetch(`${this.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", ...authorization },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const answer = (await response.json()) as RpcAnswer;
    return answer.error?.data.retryable === true ? undefined : answer;
  }

  /** The state of one source, or undefined if there is none. */
  async sourceState(mix: string, source: string): Promise<string | undefined> {
    const sources: { id: string; state: string }[] = await this.rpc("source.list", { mix });
    return sources.find(({ id }) => id === source)?.state;
  }

  /** Worker processes, by what they run. */
  workers(): number[] {
    return childrenOf(this.program.pid).filter((pid) => commandOf(pid).includes("worker-main"));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}

const commandOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
};
const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "))
    .filter((child) => child !== "")
    .map(Number);
const loadsMedia = (pid: number): boolean =>
  readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .some((line) => /node[-_]av|libav(codec|format|util)|sharp/.test(line));

const recorded = {
  id: "m",
  sources: [{ kind: "test", id: "a" }],
  outputs: [{ kind: "file", id: "f", path: "f.mp4" }],
};

test("--demo shows four moving, speaking sources, and control never loads what could crash it", async () => {
  await using folder = await tempFolder();
  await using node = await Served.start(folder.path, ["--demo"]);
  await until("four sources online", async () => {
    const { sources } = await node.rpc("mix.stats", { mix: "demo" });
    return sources.filter(({ state }: { state: string }) => state === "online").length === 4;
  });
  const picture = async (): Promise<Buffer> =>
    Buffer.from(await (await fetch(`${node.url}/snapshot/demo/main.jpg`)).arrayBuffer());
  const first = await picture();
  expect(first.subarray(0, 2).toString("hex")).toBe("ffd8");
  await until("a picture that moved", async () => !(await picture()).equals(first));
  const { audio } = await node.rpc("mix.stats", { mix: "demo" });
  expect(audio.lufs).toBeGreaterThan(-40);
  expect(loadsMedia(node.program.pid)).toBe(false);
  expect(node.workers().some(loadsMedia)).toBe(true);
  expect((await fetch(`${node.url}/metrics`)).status).toBe(200);
}, 90_000);

test("SIGTERM finishes recordings, ends all workers, and the next start goes on", async () => {
  await using folder = await tempFolder();
  await using first = await Served.start(folder.path);
  await first.rpc("mix.create", recorded);
  await until("some recording", async () => {
    const [output] = (await first.rpc("mix.stats", { mix: "m" })).outputs;
    return output.frames > 45;
  });
  const { atUs } = await first.rpc("mix.get", { mix: "m" });
  const workers = first.workers();
  const started = performance.now();
  const exit = await first.program.stop("SIGTERM", 15_000);
  expect(exit).toMatchObject({ code: 0, signal: null });
  expect(performance.now() - started).toBeLessThan(12_000);
  expect(workers.map(commandOf).join("")).toBe("");
  const { format } = await probe(join(folder.path, "recordings", "f.mp4"));
  expect(Number(format.duration)).toBeGreaterThan(1);

  await using second = await Served.start(folder.path);
  await until("the mix to run", async () => (await second.rpc("mix.get", { mix: "m" })).state === "running");
  expect((await second.rpc("mix.get", { mix: "m" })).atUs).toBeGreaterThan(atUs);
  await until("the next part", async () => {
    const [output] = (await second.rpc("mix.stats", { mix: "m" })).outputs;
    return output.frames > 15;
  });
  await second.program.stop("SIGTERM", 15_000);
  const next = await probe(join(folder.path, "recordings", "f.2.mp4"));
  expect(Number(next.format.duration)).toBeGreaterThan(0);
}, 120_000);

test("kill -9 of everything leaves no worker behind, and what was acknowledged comes back", async () => {
  await using folder = await tempFolder();
  await using first = await Served.start(folder.path);
  await first.rpc("mix.create", recorded);
  await first.rpc("source.add", { mix: "m", source: { kind: "test", id: "b" } });
  const workers = first.workers();
  expect(workers.length).toBeGreaterThan(0);
  await first.program.stop("SIGKILL");
  await until("the workers' end", () => workers.every((pid) => commandOf(pid) === ""), 3000);
  await using second = await Served.start(folder.path);
  const mix = await until("the mix to run", async () => {
    const found = await second.rpc("mix.get", { mix: "m" });
    return found.state === "running" ? found : undefined;
  });
  expect(mix.sources.map(({ id }: { id: string }) => id)).toEqual(["a", "b"]);
}, 120_000);

describe("what it cannot do it says at once", () => {
  const run = async (args: readonly string[]): Promise<{ code: number | null; stderr: string }> => {
    const program = await Program.start(NODE, ["src/cli/main.ts", "serve", ...args], { maxMs: START_MS });
    return await program.exited;
  };

  test("listening for others without a token", async () => {
    const { code, stderr } = await run(["--http", "0.0.0.0:0"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/can be reached by others: set --token/);
    expect((await run(["--rtmp", "0.0.0.0:1935"])).code).toBe(2);
  });

  test("an unknown flag, and one of a later release", async () => {
    expect(await run(["--htp", "1"])).toMatchObject({ code: 2, stderr: expect.stringMatching(/--http/) });
    expect(await run(["--amqp", "amqp://x"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/not supported yet/),
    });
  });

  test("a data folder that another node uses, and a database that is none", async () => {
    await using folder = await tempFolder();
    await using _node = await Served.start(folder.path);
    const second = await run(["--data", folder.path, "--http", "127.0.0.1:0", "--rtmp", "off"]);
    expect(second).toMatchObject({ code: 1, stderr: expect.stringMatching(/locked/) });
    await using other = await tempFolder();
    await writeFile(join(other.path, "tessera.db"), "no database");
    const broken = await run(["--data", other.path, "--http", "127.0.0.1:0", "--rtmp", "off"]);
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringMatching(/not a database/) });
    expect(readFileSync(join(other.path, "tessera.db"), "utf8")).toBe("no database");
  }, 60_000);
});

requirePeer("ffmpeg", "openssl")("RTMP publishers", () => {
  const publish = (port: number, path: string, scheme = "rtmp"): Promise<Program> => {
    const video = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30"];
    const audio = ["-f", "lavfi", "-i", "sine=frequency=500"];
    const codecs = [
      "-c:v",
      "libx264",
      "-preset",
      "ultrafast",
      "-g",
      "15",
      "-pix_fmt",
      "yuv420p",
      "-c:a",
      "aac",
    ];
    const target = ["-f", "flv", `${scheme}://127.0.0.1:${port}/live/${path}`];
    return Program.start("ffmpeg", ["-v", "error", "-re", ...video, ...audio, ...codecs, ...target]);
  };

  test("become sources, survive their worker, and cannot be pushed aside while they send", async () => {
    await using folder = await tempFolder();
    await using node = await Served.start(folder.path);
    const watched = [{ kind: "file", path: "m.mp4" }];
    await node.rpc("mix.create", { id: "m", sources: [{ kind: "rtmp", id: "declared" }], outputs: watched });
    await using undeclared = await publish(node.rtmpPort, "m?source=guest");
    await using declared = await publish(node.rtmpPort, "m?source=declared");
    const online = (id: string) => async () => (await node.sourceState("m", id)) === "online";
    await until("the guest", online("guest"));
    await until("the declared one", online("declared"));

    await using intruder = await publish(node.rtmpPort, "m?source=guest");
    expect((await intruder.exited).code).not.toBe(0);
    await using stranger = await publish(node.rtmpPort, "nobody?source=x");
    expect((await stranger.exited).code).not.toBe(0);

    const [worker] = node.workers().filter(loadsMedia);
    process.kill(worker ?? -1, "SIGKILL");
    await until("the restart", async () => (await node.rpc("mix.get", { mix: "m" })).restarts === 1);
    await until("the guest in the new worker", online("guest"));
    await until("its pictures", async () => {
      const { sources } = await node.rpc("mix.stats", { mix: "m" });
      return sources.find(({ id }: { id: string }) => id === "guest").decoded > 10;
    });
    expect(undeclared.hasExited).toBe(false);

    await declared.stop("SIGINT");
    await until("the declared one to be offline", async () =>
      /offline|ended/.test((await node.sourceState("m", "declared")) ?? ""),
    );
    await node.rpc("source.remove", { mix: "m", source: "guest" });
    expect((await undeclared.exited).code).not.toBe(0);
  }, 120_000);

  test("can come over TLS", async () => {
    await using folder = await tempFolder();
    const [cert, key] = [join(folder.path, "cert.pem"), join(folder.path, "key.pem")];
    const subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes"];
    await runToEnd("openssl", [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      ...subject,
      "-keyout",
      key,
      "-out",
      cert,
    ]);
    const port = await freePort();
    const tls = ["--rtmps", `127.0.0.1:${port}`, "--tls-cert", cert, "--tls-key", key];
    await using node = await Served.start(folder.path, tls);
    await node.rpc("mix.create", { id: "m" });
    await using _publisher = await publish(port, "m?source=a", "rtmps");
    await until("the publisher", async () => (await node.sourceState("m", "a")) === "online");
  }, 90_000);

  test("need a token that allows it where the node has one", async () => {
    await using folder = await tempFolder();
    await using node = await Served.start(folder.path, [], "the-token-of-the-node");
    await node.rpc("mix.create", { id: "m" });
    const { token } = await node.rpc("token.issue", { mix: "m", actions: ["publish"], ttlS: 60 });
    const play = await node.rpc("token.issue", { mix: "m", actions: ["play"], ttlS: 60 });
    for (const query of ["source=a", "source=a&token=wrong", `source=a&token=${play.token}`]) {
      await using refused = await publish(node.rtmpPort, `m?${query}`);
      expect((await refused.exited).code, query).not.toBe(0);
    }
    await using _allowed = await publish(node.rtmpPort, `m?source=a&token=${token}`);
    await until("the publisher", async () => (await node.sourceState("m", "a")) === "online");
  }, 120_000);
});
