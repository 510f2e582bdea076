import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:net";
import { afterAll, expect, test } from "vitest";
import { judgeCounters } from "../kit/counter.ts";
import { FaultyPeer, Frozen } from "../kit/faults.ts";
import { Folder } from "../kit/folder.ts";
import { probe } from "../kit/judge.ts";
import { counterVideo, makeMedia } from "../kit/media.ts";
import { Nginx } from "../kit/nginx.ts";
import { requirePeer } from "../kit/peers.ts";
import { freePort, Program, runToEnd, until } from "../kit/process.ts";
import { rssBytes, treePids } from "../kit/usage.ts";
import { readSources } from "./counting.ts";
import { inputs, type MixResult, MixRun, outputs } from "./program.ts";

const SIZE = { width: 640, height: 360 };
const SMALL = ["--size", "640x360", "--preset", "ultrafast"];
const LIVE = { maxMs: 55_000 };
/** Enough to fill sockets' buffers and small disks soon. */
const MANY_BITS = ["--bitrate", "24M"];

/** Ticks that may be late on a machine that does other things beside. */
const BUSY = 0.03;

/** Pictures that no encoder makes small. */
const noise = async (): Promise<string> => {
  const picture = "color=gray:s=320x180:r=30:d=4,noise=alls=90:allf=t,format=yuv420p";
  return `${await makeMedia(["-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast"])},loop`;
};

/** The good recording beside the bad peer: every tick is in it, and what it shows only goes forward. */
async function expectWhole(file: string, { summary, code }: MixResult, wantCode: number): Promise<void> {
  expect(code).toBe(wantCode);
  const [source] = await readSources(file, [
    { ...SIZE, count: 1 },
    { ...SIZE, count: 2 },
  ]);
  const { frames = 0, late = 0, repeated = 0 } = summary ?? {};
  expect(source?.readings).toHaveLength(frames);
  const judged = judgeCounters(source?.readings ?? []);
  const excused = 2 * (late + repeated);
  // A busy machine may be late; a fault that makes others late is none that they do not notice.
  expect(late + repeated).toBeLessThanOrEqual(BUSY * frames);
  expect(judged.backward).toEqual([]);
  expect(judged.missed.length).toBeLessThanOrEqual(excused);
  expect(judged.repeated.length).toBeLessThanOrEqual(excused);
  expect(judged.unreadable).toBeLessThanOrEqual(excused);
}

/** Waits until bytes flow, and throws if they never do. */
const untilSent = (peer: { readonly bytesFromClients: number }, bytes: number): Promise<true> =>
  until(`${bytes} bytes were sent`, () => (peer.bytesFromClients >= bytes ? (true as const) : undefined));

const seconds = (count: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, count * 1000));

requirePeer("ffmpeg", "nginx-rtmp")("a push whose peer goes wrong while it is live", () => {
  test.each(["deaf", "close", "refuse"] as const)(
    "%s: told, retried, and nobody else loses a picture",
    async (fault) => {
      using folder = new Folder();
      const good = folder.file("good.mp4");
      await using nginx = await Nginx.open();
      await using peer = await FaultyPeer.open(nginx.rtmpPort);
      const push = `rtmp://127.0.0.1:${peer.port}/live/key`;
      const args = [...inputs("test:counter", await noise()), ...SMALL, ...MANY_BITS, "--duration", "14"];
      await using run = await MixRun.start([...args, ...outputs(push, good)], LIVE);
      await run.waitFor("output.live", "out1");
      await untilSent(peer, 50_000);
      const memory = treePids(run.pid).map((pid) => [pid, rssBytes(pid)] as const);
      if (fault === "deaf") {
        peer.behave("deaf");
        await seconds(0.3);
        const { bytesFromClients } = peer;
        await seconds(0.7);
        expect(peer.bytesFromClients).toBe(bytesFromClients); // It bit: live before, and now nothing is read.
      } else {
        if (fault === "refuse") await peer.refuse();
        peer.drop();
        await until("the connection is gone", () => peer.open === 0 || peer.accepted > 1);
      }
      const retrying = await run.waitFor("output.retrying", "out1", 15_000);
      expect(retrying).toMatchObject({ error: { code: expect.stringMatching(/^ERR_PEER_/), fault: "peer" } });
      for (const [pid, bytes] of memory) expect(rssBytes(pid) - bytes).toBeLessThan(150e6);
      if (fault !== "refuse") peer.behave("pass");
      const result = await run.finish();
      const last = result.events.findLast(
        (event) => "output" in event && event.output === "out1" && event.type !== "output.ended",
      );
      // Who may come back at once is live again at the end; who is refused to the end is not complete.
      if (fault !== "deaf") expect(last?.type === "output.live").toBe(fault === "close");
      await expectWhole(good, result, last?.type === "output.live" ? 0 : 1);
    },
  );
});

requirePeer("ffmpeg")("a push whose peer never answers", () => {
  test("it accepts and says nothing: unreachable in bounded time", async () => {
    using folder = new Folder();
    const good = folder.file("good.mkv");
    await using peer = await FaultyPeer.open(undefined, "mute");
    const push = `rtmp://127.0.0.1:${peer.port}/live/key`;
    const args = [...inputs("test:counter", "test:moving"), ...SMALL, "--duration", "7"];
    await using run = await MixRun.start([...args, ...outputs(push, good)], LIVE);
    await untilSent(peer, 1537); // C0 and C1: it did connect.
    const retrying = await run.waitFor("output.retrying", "out1");
    expect(retrying.atUs).toBeLessThan(6_500_000);
    const result = await run.finish();
    expect(result.summary?.outputs[0]).toMatchObject({ id: "out1", complete: false });
    await expectWhole(good, result, 1);
  });
});

requirePeer("ffmpeg", "nginx-rtmp")("a pull whose peer goes wrong", () => {
  test("stopped in the middle: stale, offline, back again; the others miss nothing", async () => {
    using folder = new Folder();
    const good = folder.file("good.mp4");
    await using nginx = await Nginx.open();
    const camera = await counterVideo({ seconds: 20, source: 1 });
    const publish = ["-v", "error", "-nostdin", "-re", "-i", camera, "-c", "copy", "-f", "flv"];
    await using _camera = await Program.start("ffmpeg", [...publish, `${nginx.url}/camera`]);
    await until("nginx has the camera", async () => (await nginx.stream("camera"))?.video !== undefined);
    const args = [...inputs("test:counter", `${nginx.url}/camera`), ...SMALL, "--duration", "14"];
    await using run = await MixRun.start([...args, ...outputs(good)], LIVE);
    await run.waitFor("source.online", "in2");
    await run.waitFor("output.live", "out1");
    await seconds(1);
    {
      using _frozen = new Frozen(nginx.pid);
      const stale = await run.waitFor("source.stale", "in2");
      const offline = await run.waitFor("source.offline", "in2");
      expect(offline).toMatchObject({ error: { code: "ERR_PEER_LOST", fault: "peer" } });
      expect(offline.atUs - stale.atUs).toBeLessThan(8_000_000);
    }
    await until(
      "it is back",
      () => run.events.filter((one) => one.type === "source.online" && one.source === "in2").length > 1,
    );
    await expectWhole(good, await run.finish(), 0);
  });

  test.each(["refuses", "never answers", "sends garbage"])("an HTTP peer that %s", async (how) => {
    using folder = new Folder();
    const good = folder.file("good.mp4");
    const server = how === "refuses" ? undefined : await badServer(how === "sends garbage");
    const port = server?.port ?? (await freePort());
    const pull = `http://127.0.0.1:${port}/a.ts`;
    const duration = how === "never answers" ? "13" : "4";
    const args = [...inputs("test:counter", pull), ...SMALL, "--duration", duration];
    await using run = await MixRun.start([...args, ...outputs(good)], LIVE);
    const result = await run.finish();
    server?.server.close();
    if (server !== undefined) expect(server.connections()).toBeGreaterThan(0);
    const offline = result.events.find((event) => event.type === "source.offline");
    expect(offline).toMatchObject({ source: "in2", error: { code: "ERR_PEER_UNREACHABLE" } });
    await expectWhole(good, result, 0);
  });
});

/** Accepts connections, and answers them with nothing or with noise. */
async function badServer(noise: boolean): Promise<{ port: number; server: Server; connections(): number }> {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on("error", () => {}).resume();
    if (noise) socket.end(Uint8Array.from({ length: 100_000 }, (_, n) => (n * 2_654_435_761) >>> 11));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  server.unref();
  return { port, server, connections: () => connections };
}

const mounts: string[] = [];
afterAll(() => {
  for (const mount of mounts) execFileSync("umount", [mount]);
});

/** A file system of its own, of so many bytes. Undefined where this user may not mount. */
function smallDisk(folder: Folder, bytes: number): string | undefined {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", folder.path], { stdio: "ignore" });
    mounts.push(folder.path);
    return folder.file("full.mp4");
  } catch {
    return undefined;
  }
}

requirePeer("ffmpeg")("a disk that fills", () => {
  test("that recording fails, playable; the other is whole", async (context) => {
    using folder = new Folder();
    const disk = new Folder();
    const full = smallDisk(disk, 5_000_000);
    if (full === undefined) return context.skip("mounting a file system needs root");
    const good = folder.file("good.mp4");
    const args = [...inputs("test:counter", await noise()), ...SMALL, "--bitrate", "12M", "--duration", "8"];
    await using run = await MixRun.start([...args, ...outputs(full, good)], LIVE);
    await run.waitFor("output.live", "out1");
    const failed = await run.waitFor("output.failed", "out1");
    expect(failed).toMatchObject({ error: { code: "ERR_STORAGE", fault: "device" } });
    const result = await run.finish();
    expect(result.summary?.outputs[0]).toMatchObject({ id: "out1", complete: false });
    await expectWhole(good, result, 1);
    expect((await probe(full)).video?.codec_name).toBe("h264");
    await runToEnd("ffmpeg", ["-v", "error", "-xerror", "-i", full, "-f", "null", "-"]);
  });
});
