import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { MixEventBody } from "../../src/contract/events.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { RawPublisher } from "../door/raw-publisher.ts";
import { type Counted, judgeCounters } from "../kit/counter.ts";
import { Folder } from "../kit/folder.ts";
import { counterVideo } from "../kit/media.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, type Program, until } from "../kit/process.ts";
import { rssBytes, treePids } from "../kit/usage.ts";
import { mutate, seeded } from "../protocol/fuzz/mutate.ts";
import { type FlvTag, flvTags, publish } from "../serve/media.ts";
import { readSources } from "./counting.ts";
import { inputs, MixRun, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
/** What a real ffmpeg sent when it published under the key `capture`. */
const CAPTURE = readFileSync(fileURLToPath(new URL("../protocol/captures/ffmpeg.bin", import.meta.url)));
const KEY = "capture";
/** C0, C1 and C2. */
const HANDSHAKE_BYTES = 1 + 2 * 1536;
/** What bad publishers send before they go bad. */
const TORN = { seconds: 4, source: 5, tone: 900, width: 320, height: 180 };
/** More than this is no working memory of one mix. */
const MAX_GROWTH_BYTES = 150e6;

/**
 * ffmpeg sends in its own time: a picture that comes later than any before is shown a tick late, so that the one
 * before it is there twice, and one is left out when the delay is given back.
 */
const OWN_HICCUPS = 3;

const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1000));

/** `tessera mix` with a counter of its own, a good publisher and the keys of bad ones, from 1 s after all is live. */
class Attacked implements AsyncDisposable {
  readonly run: MixRun;
  readonly port: number;
  readonly #camera: Program;
  readonly #folder: Folder;
  readonly #memory: readonly (readonly [pid: number, bytes: number])[];
  readonly #fromUs: number;

  private constructor(run: MixRun, port: number, camera: Program, folder: Folder, fromUs: number) {
    this.run = run;
    this.port = port;
    this.#camera = camera;
    this.#folder = folder;
    this.#fromUs = fromUs;
    this.#memory = treePids(run.pid).map((pid) => [pid, rssBytes(pid)]);
  }

  /** @param durationS of the mix, which ends by itself. */
  static async start(keys: readonly string[], durationS: number): Promise<Attacked> {
    const folder = new Folder();
    const port = await freePort();
    const listen = ["--rtmp", `127.0.0.1:${port}`, "--size", "640x360", "--preset", "ultrafast"];
    const sources = inputs("test:counter", ...["good", ...keys].map((key) => `rtmp-listen:${key}`));
    const args = [...sources, ...listen, "--duration", `${durationS}`, ...outputs(folder.file("good.mp4"))];
    const run = await MixRun.start(args, { maxMs: (durationS + 30) * 1000 });
    await run.waitFor("output.live", "out1");
    const media = await counterVideo({ seconds: durationS + 5, source: 1, tone: 440 });
    const camera = await publish(media, `rtmp://127.0.0.1:${port}/live/good`, durationS + 5);
    const online = await run.waitFor("source.online", "good");
    await seconds(2);
    return new Attacked(run, port, camera, folder, online.atUs + 2e6);
  }

  /** The errors of all times that a source went away. */
  offline(source: string): unknown[] {
    const gone = this.run.events.filter(
      (event): event is Extract<MixEventBody, { type: "source.offline" }> & { atUs: number } =>
        event.type === "source.offline" && event.source === source,
    );
    return gone.map(({ error }) => error?.code);
  }

  /** What was held by each process that was there before the attack stays bounded. */
  expectBounded(): void {
    for (const [pid, bytes] of this.#memory) {
      expect(rssBytes(pid), `process ${pid} is still there`).toBeGreaterThan(0);
      expect(rssBytes(pid) - bytes).toBeLessThan(MAX_GROWTH_BYTES);
    }
  }

  /** The end: complete, every tick in the file, and neither the mix's own counter nor the good publisher's hurt. */
  async expectUnharmed(): Promise<void> {
    const { code, summary } = await this.run.finish();
    expect(code).toBe(0);
    expect(this.offline("good")).toEqual([]);
    const grids = [1, 2, 4].map((count) => ({ ...SIZE, count }));
    const shown = await readSources(this.#folder.file("good.mp4"), grids);
    const late = 2 * ((summary?.late ?? 0) + (summary?.repeated ?? 0));
    for (const [source, excused] of [late, late + OWN_HICCUPS].entries()) {
      const { readings = [], ptsS = [] } = shown[source] ?? {};
      expect(readings).toHaveLength(summary?.frames ?? -1);
      const during = readings.filter((_, n) => (ptsS[n] ?? 0) * 1e6 > this.#fromUs);
      expectEvery(during, excused);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#camera[Symbol.asyncDispose]();
    await this.run[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Each number once, in order, but for what the program itself said of late ticks. */
function expectEvery(readings: readonly (Counted | null)[], excused: number): void {
  const judged = judgeCounters(readings);
  expect(judged.pictures).toBeGreaterThan(100);
  expect(judged.backward).toEqual([]);
  expect(judged.missed.length, `missed ${judged.missed}`).toBeLessThanOrEqual(excused);
  expect(judged.repeated.length, `repeated ${judged.repeated}`).toBeLessThanOrEqual(excused);
  expect(judged.unreadable).toBeLessThanOrEqual(excused);
}

/** The capture as if it had been published under another key of as many letters. */
function captureAs(key: string): Buffer {
  const bytes = Buffer.from(CAPTURE);
  for (let at = bytes.indexOf(KEY); at >= 0; at = bytes.indexOf(KEY, at + 1)) bytes.write(key, at, "latin1");
  return bytes;
}

/** Sends tags at the time they say, for so long. */
async function sendTags(publisher: RawPublisher, tags: readonly FlvTag[], forMs: number): Promise<void> {
  const began = performance.now();
  for (const { type, timestampMs, body } of tags) {
    if (timestampMs > forMs) return;
    await seconds(Math.max(0, timestampMs - (performance.now() - began)) / 1000);
    publisher.send(type, body, 1, timestampMs);
  }
}

/**
 * Sends bytes as a network delivers them, so that what came before a fault has been taken, and hangs up.
 *
 * @returns whether the door hung up first.
 */
async function sendInPieces(port: number, bytes: Buffer): Promise<boolean> {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  let isCut = false;
  socket.resume().on("close", () => (isCut = true));
  for (let at = 0; at < bytes.length && !isCut; at += PIECE_BYTES) {
    socket.write(bytes.subarray(at, at + PIECE_BYTES));
    await seconds(0.002);
  }
  await seconds(0.02);
  const wasCut = isCut;
  socket.destroy();
  return wasCut;
}
const PIECE_BYTES = 1400;

requirePeer("ffmpeg")("publishers that mean harm to `tessera mix`", () => {
  test("mutated behind the handshake, hundreds of seeds: cut off or ignored, and nobody else loses a picture", async () => {
    const keys = ["bad-000", "bad-001"];
    await using mix = await Attacked.start(keys, 16);
    expect(await sendInPieces(mix.port, captureAs("bad-000")), "as ffmpeg sent it").toBe(false);
    await mix.run.waitFor("source.online", "bad-000");
    const cut: boolean[] = [];
    for (let seed = 0; seed < 200; seed++) {
      const bytes = captureAs(keys[seed % keys.length] ?? "");
      cut.push(await sendInPieces(mix.port, mutate(bytes, CAPTURE, seeded(seed), HANDSHAKE_BYTES)));
    }
    mix.expectBounded();
    // It bit: some were cut off, some got as far as a source, which was told why they were thrown out.
    expect(cut.filter((one) => one).length).toBeGreaterThan(20);
    const codes = keys.flatMap((key) => mix.offline(key));
    expect(codes.filter((code) => code === "ERR_PROTOCOL" || code === "ERR_LIMIT")).not.toEqual([]);
    await mix.expectUnharmed();
  }, 120_000);

  test("one announces 16 MB, one trickles, one wants a key in use: each is cut off and told of, alone", async () => {
    await using mix = await Attacked.start(["huge", "slow"], 40);
    const tags = flvTags(readFileSync(await counterVideo({ ...TORN, container: "flv" })));
    await using huge = await RawPublisher.open(mix.port);
    await using slow = await RawPublisher.open(mix.port);
    await using thief = await RawPublisher.open(mix.port);
    for (const [key, publisher] of Object.entries({ huge, slow })) {
      expect(await publisher.publish(key)).toBe("NetStream.Publish.Start");
    }
    await Promise.all([sendTags(huge, tags, 2000), sendTags(slow, tags, 2000)]);
    for (const key of ["huge", "slow"]) await mix.run.waitFor("source.online", key);
    expect([huge.isClosed, slow.isClosed]).toEqual([false, false]);

    expect(await thief.publish("good")).toBe("NetStream.Publish.BadName");
    expect(thief.description).toContain("publishing under this name");
    // A chunk size of 0xffffff, and a message of as many bytes of which few ever come.
    huge.send(RTMP.setChunkSize, Uint8Array.of(0, 0xff, 0xff, 0xff), 0, 0, 2);
    huge.socket.write(Buffer.from("06000000ffffff0901000000", "hex"));
    huge.socket.write(Buffer.alloc(20_000));
    await until("both are closed", () => huge.isClosed && thief.isClosed);
    await mix.run.waitFor("source.offline", "huge");
    expect(mix.offline("huge")).toEqual(["ERR_LIMIT"]);

    // Sound of 4096 bytes, one a second: the socket is never silent for long.
    slow.socket.write(Buffer.from("070000000010000801000000", "hex"));
    const trickle = setInterval(() => slow.socket.write(Uint8Array.of(0)), 1000);
    await mix.run.waitFor("source.stale", "slow");
    mix.expectBounded();
    const { atUs } = await mix.run.waitFor("source.offline", "slow", 35_000);
    clearInterval(trickle);
    expect(mix.offline("slow")).toEqual(["ERR_LIMIT"]);
    expect(slow.isClosed).toBe(true);
    expect(atUs).toBeLessThan(40e6);
    mix.expectBounded();
    await mix.expectUnharmed();
  }, 150_000);
});
