import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { ForbiddenError } from "../../src/core/error.ts";
import { us } from "../../src/core/time.ts";
import { RtmpDoor } from "../../src/door/rtmp.ts";
import type { RtmpPublish } from "../../src/door/rtmp-publish.ts";
import type { PublishDecision } from "../../src/door/rtmp-session.ts";
import type { Egress } from "../../src/egress/egress.ts";
import { openRtmpPush, RTMP_PUSH_LIMITS, type RtmpPushOptions } from "../../src/egress/rtmp.ts";
import { RtmpClient } from "../../src/egress/rtmp-client.ts";
import { parseRtmpUrl } from "../../src/egress/rtmp-url.ts";
import { LiveClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { joinAnnexB, splitAnnexB, splitLengthPrefixed } from "../../src/protocol/annexb.ts";
import { FaultyPeer } from "../kit/faults.ts";
import { freePort, until } from "../kit/process.ts";
import { collect, recorded } from "./rtmp-stream.ts";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const media = recorded();
const clock = new LiveClock();
/** So quick that a test need not wait. */
const QUICK = { firstRetryMs: 20, maxRetryMs: 50 };
/** For peers that are mute or stalled on purpose; too short for honest ones on a busy machine. */
const HASTY = { handshakeMs: 300, publishMs: 300, connectMs: 300 };

interface Taken {
  readonly publish: RtmpPublish;
  readonly packets: Packet[];
}

/** A real RTMP server that takes what is pushed. */
async function openServer(
  decide: () => PublishDecision = () => ({ allow: true }),
  port = 0,
): Promise<{ door: RtmpDoor; taken: Taken[] }> {
  const authorize = (): Promise<PublishDecision> => Promise.resolve(decide());
  const door = await RtmpDoor.listen({ host: "127.0.0.1", port, clock, authorize });
  cleanups.push(() => door.close());
  const taken: Taken[] = [];
  void (async () => {
    for await (const publish of door) {
      const entry: Taken = { publish, packets: [] };
      taken.push(entry);
      void (async () => {
        for await (const packet of publish.packets) entry.packets.push(packet);
      })();
    }
  })();
  return { door, taken };
}

function push(port: number, options: Partial<RtmpPushOptions> = {}): Egress {
  const limits = { ...QUICK, ...options.limits };
  const url = `rtmp://127.0.0.1:${port}/live/key?token=s`;
  const egress = openRtmpPush({ url, streams: media.streams, clock, ...options, limits });
  cleanups.push(() => egress.close());
  return egress;
}

/** Gives packets steadily until stopped, at 100 times the pace of their stamps. */
function feed(egress: Egress, packets = media.packets(20_000)): { stop(): void } {
  let index = 0;
  const timer = setInterval(() => {
    for (let left = 5; left > 0; left--) {
      const packet = packets[index];
      index += 1;
      if (packet !== undefined) egress.push(packet);
    }
  }, 5);
  cleanups.push(() => Promise.resolve(clearInterval(timer)));
  return { stop: () => clearInterval(timer) };
}

const typesOf = (events: readonly { readonly type: string }[]): string[] => events.map(({ type }) => type);

describe("what reaches the server", () => {
  test("every packet, unchanged, from stamp 0, behind complete metadata", async () => {
    const { door, taken } = await openServer();
    const egress = push(door.address.port);
    const sent = media.packets(80, 7_000_000);
    for (const packet of sent) {
      egress.push(packet);
      await egress.drained();
    }
    await egress.close();
    await until("the end", () => taken[0]?.publish.isClosed);
    const got = taken[0]?.packets ?? [];
    const firstKey = sent.findIndex(({ kind }) => kind === "video");
    const expected = sent.slice(firstKey);
    expect(got.length).toBe(expected.length);
    expect(got[0]).toMatchObject({ kind: "video", keyFrame: true, dtsUs: 0, info: { codec: "h264" } });
    for (const kind of ["video", "audio"] as const) {
      const stamps = got.filter((one) => one.kind === kind).map(({ dtsUs }) => dtsUs);
      const wanted = expected.filter((one) => one.kind === kind);
      expect(stamps).toEqual(
        wanted.map(({ dtsUs }) => Math.round((dtsUs - (expected[0]?.dtsUs ?? 0)) / 1000) * 1000),
      );
    }
    const pictures = got
      .filter(({ kind }) => kind === "video")
      .map(({ data }) => joinAnnexB(splitLengthPrefixed(data, 4)));
    const wanted = expected
      .filter(({ kind }) => kind === "video")
      .map(({ data }) =>
        joinAnnexB(splitAnnexB(data).filter((unit) => ![7, 8, 9].includes((unit[0] ?? 0) & 31))),
      );
    expect(pictures).toEqual(wanted);
    expect(taken[0]?.publish).toMatchObject({ name: "key", encoder: "FMLE/3.0 (compatible; Tessera)" });
    expect(taken[0]?.publish.query.get("token")).toBe("s");
    expect(taken[0]?.publish.stats().metadata).toEqual({
      widthPx: 64,
      heightPx: 64,
      frameRate: 10,
      videoBitrateBps: 30_000,
      audioBitrateBps: 16_000,
      encoder: "Tessera",
    });
    expect(egress.stats()).toMatchObject({ dropped: 0, retries: 0 });
  });

  test("HEVC and Opus, to a server that says it takes them", async () => {
    const enhanced = recorded("enhanced-hevc-opus");
    const { door, taken } = await openServer();
    const egress = push(door.address.port, { streams: enhanced.streams });
    for (const packet of enhanced.packets(60)) {
      egress.push(packet);
      await egress.drained();
    }
    await egress.close();
    await until("the end", () => taken[0]?.publish.isClosed);
    const infos = taken[0]?.packets.flatMap(({ info }) => (info === undefined ? [] : [info.codec]));
    expect(infos?.sort()).toEqual(["hevc", "opus"]);
    expect(taken[0]?.publish.stats().bad).toBe(0);
  });

  test("twenty pushes of one encoder all get everything", async () => {
    const { door, taken } = await openServer();
    const all = Array.from({ length: 20 }, (_, index) =>
      push(door.address.port, { url: `rtmp://127.0.0.1:${door.address.port}/live/k${index}` }),
    );
    for (const packet of media.packets(80)) {
      for (const egress of all) egress.push(packet);
      await Promise.all(all.map((egress) => egress.drained()));
    }
    await Promise.all(all.map((egress) => egress.close()));
    await until("the end", () => taken.length === 20 && taken.every(({ publish }) => publish.isClosed));
    expect(new Set(taken.map(({ packets }) => packets.length)).size).toBe(1);
  });
});

test("a server that has nothing to say keeps its publisher: only publishers must talk", async () => {
  const { door } = await openServer();
  const limits = { ...RTMP_PUSH_LIMITS, idleMs: 300 };
  const url = parseRtmpUrl(`rtmp://127.0.0.1:${door.address.port}/live/key`);
  const resolve = (host: string): Promise<readonly string[]> => Promise.resolve([host]);
  const options = { target: url, clock, limits, connectMs: 5000, resolve, tls: {}, fourccs: [] };
  await using client = await RtmpClient.open(options, new AbortController().signal);
  const { receivedBytes } = client.connection;
  for (let stampMs = 0; stampMs < 1200; stampMs += 100) {
    await client.send("audio", stampMs, Buffer.from([0xaf, 1, 0, 0]));
    await sleep(100);
  }
  expect(client.connection.receivedBytes).toBe(receivedBytes);
  expect(client.connection.isClosed).toBe(false);
});

describe("servers that fail", () => {
  test("nobody listens: typed, retried, and live as soon as somebody does", async () => {
    const port = await freePort();
    const egress = push(port);
    const events = collect(egress.events);
    feed(egress);
    await until("a retry", () => typesOf(events).filter((type) => type === "retrying").length > 1);
    expect(events[1]).toMatchObject({
      type: "retrying",
      error: {
        code: "ERR_PEER_UNREACHABLE",
        retryable: true,
        message: expect.stringContaining("ECONNREFUSED"),
      },
    });
    const { taken } = await openServer(undefined, port);
    await until("packets", () => (taken[0]?.packets.length ?? 0) > 5);
    expect(taken[0]?.packets[0]).toMatchObject({ kind: "video", keyFrame: true, dtsUs: 0 });
    expect(typesOf(events).at(-1)).toBe("live");
  });

  test("it says no: its own words reach the event", async () => {
    const { door } = await openServer(() => ({
      allow: false,
      code: "BadName",
      description: "that key is taken",
    }));
    const egress = push(door.address.port);
    const events = collect(egress.events);
    await until("a retry", () => events.length > 1);
    expect(events[1]).toMatchObject({ type: "retrying", error: { code: "ERR_PEER_REJECTED" } });
    expect(JSON.stringify(events[1])).toContain("that key is taken");
  });

  test("it hangs up in the middle: stamps go on, and each connection begins at a key frame", async () => {
    const { door, taken } = await openServer();
    await using peer = await FaultyPeer.open(door.address.port);
    const egress = push(peer.port);
    const events = collect(egress.events);
    feed(egress);
    await until("packets", () => (taken[0]?.packets.length ?? 0) > 50);
    const before = peer.bytesFromClients;
    peer.drop();
    await until("packets again", () => (taken[1]?.packets.length ?? 0) > 50);
    expect(peer.bytesFromClients).toBeGreaterThan(before);
    expect(events.find(({ type }) => type === "retrying")).toMatchObject({
      error: { code: "ERR_PEER_LOST" },
    });
    const [last, first] = [taken[0]?.packets.at(-1), taken[1]?.packets[0]];
    expect(first).toMatchObject({ kind: "video", keyFrame: true, info: { codec: "h264" } });
    expect(first?.dtsUs ?? 0).toBeGreaterThanOrEqual(last?.dtsUs ?? Number.POSITIVE_INFINITY);
    expect(egress.stats().retries).toBe(1);
  });

  test("it accepts and never answers: typed, and retried", async () => {
    await using peer = await FaultyPeer.open(undefined, "mute");
    const egress = push(peer.port, { limits: HASTY });
    const events = collect(egress.events);
    await until("a second attempt", () => peer.accepted > 1);
    expect(events[1]).toMatchObject({ type: "retrying", error: { code: "ERR_PEER_UNREACHABLE" } });
  });

  test("it is no RTMP server at all: typed, and retried", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.resume();
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const egress = push(typeof address === "object" && address !== null ? address.port : 0);
    const events = collect(egress.events);
    await until("two retries", () => typesOf(events).filter((type) => type === "retrying").length > 1);
    expect(events[1]).toMatchObject({ type: "retrying", error: { code: "ERR_PROTOCOL", fault: "peer" } });
  });

  test("a signal ends it within 100 ms, whatever the peer does", async () => {
    await using peer = await FaultyPeer.open(undefined, "mute");
    const abort = new AbortController();
    const egress = push(peer.port, { signal: abort.signal, limits: { handshakeMs: 60_000 } });
    const events = collect(egress.events);
    await until("the connection", () => peer.open === 1);
    const start = performance.now();
    abort.abort();
    await egress.close();
    expect(performance.now() - start).toBeLessThan(100);
    expect(typesOf(events)).toEqual(["connecting", "ended"]);
    await until("the connection is gone", () => peer.open === 0);
  });

  test("it stops reading: lost after the stall time, packets dropped and counted, memory bounded", async () => {
    const { door, taken } = await openServer();
    await using peer = await FaultyPeer.open(door.address.port);
    const egress = push(peer.port, { limits: { stallMs: 400 } });
    const events = collect(egress.events);
    const big = media
      .packets(4000)
      .map((packet) =>
        packet.kind === "video"
          ? { ...packet, data: Buffer.concat([packet.data, Buffer.alloc(60_000, 1)]) }
          : packet,
      );
    feed(egress, big);
    await until("it is live and bytes came", () => (taken[0]?.packets.length ?? 0) > 20);
    peer.behave("deaf");
    await until("it is lost", () => events.some(({ type }) => type === "retrying"));
    expect(events.find(({ type }) => type === "retrying")).toMatchObject({
      error: { code: "ERR_PEER_LOST" },
    });
    expect(egress.stats().droppedBy.slow).toBeGreaterThan(0);
    peer.behave("pass");
    peer.drop();
    await until("it comes back", () => (taken[1]?.packets.length ?? 0) > 20);
    expect(taken[1]?.packets[0]?.keyFrame).toBe(true);
  });

  test("two failures lead to the backup", async () => {
    const { taken } = await openServer();
    const backup = await openServer();
    void taken;
    const dead = await freePort();
    const backupUrl = `rtmp://127.0.0.1:${backup.door.address.port}/live/backup`;
    const egress = push(dead, { backupUrl });
    const events = collect(egress.events);
    feed(egress);
    await until("the backup gets it", () => (backup.taken[0]?.packets.length ?? 0) > 5);
    expect(typesOf(events)).toEqual(["connecting", "retrying", "retrying", "live"]);
  });

  test("two failures of the backup lead back", async () => {
    const [first, second] = [await freePort(), await freePort()];
    const egress = push(first, { backupUrl: `rtmp://127.0.0.1:${second}/live/backup` });
    const events = collect(egress.events);
    feed(egress);
    await until("four failures", () => events.filter(({ type }) => type === "retrying").length >= 4);
    const { taken } = await openServer(undefined, first);
    await until("the first gets it", () => (taken[0]?.packets.length ?? 0) > 5);
  });

  test("a forbidden destination fails for good", async () => {
    const resolve = (host: string): Promise<readonly string[]> =>
      Promise.reject(new ForbiddenError(`${host} is not public`));
    const egress = push(1935, { resolve });
    const events = collect(egress.events);
    await until("the end", () => typesOf(events).includes("failed"));
    expect(events.at(-1)).toMatchObject({ type: "failed", error: { code: "ERR_FORBIDDEN" } });
  });

  test("the address that was checked is the one connected to", async () => {
    const { door, taken } = await openServer();
    const url = `rtmp://cdn.example:${door.address.port}/live/key`;
    const egress = push(0, { url, resolve: () => Promise.resolve(["127.0.0.1"]) });
    feed(egress);
    await until("packets", () => (taken[0]?.packets.length ?? 0) > 5);
    expect(taken[0]?.publish.tcUrl).toBe(`rtmp://cdn.example:${door.address.port}/live`);
  });
});

test("close writes out what is queued", async () => {
  const { door, taken } = await openServer();
  const egress = push(door.address.port);
  const packets = media.packets(80).filter(({ dtsUs }) => dtsUs < 1_400_000);
  for (const packet of packets) egress.push(packet);
  await egress.close();
  await until("the end", () => taken[0]?.publish.isClosed);
  expect(await taken[0]?.publish.closed).toBeUndefined();
  expect(taken[0]?.packets.at(-1)?.dtsUs).toBeGreaterThan(us(1_200_000));
});

test("close takes no longer than its time for flushing when the peer takes nothing", async () => {
  const { door, taken } = await openServer();
  await using peer = await FaultyPeer.open(door.address.port);
  const egress = push(peer.port, { limits: { flushMs: 300, stallMs: 60_000 } });
  const fill = Buffer.alloc(60_000, 1);
  const big = media.packets(2000).map((one) => ({ ...one, data: Buffer.concat([one.data, fill]) }));
  const feeding = feed(egress, big);
  await until("it is live and bytes came", () => (taken[0]?.packets.length ?? 0) > 5);
  peer.behave("deaf");
  await until("packets are dropped", () => egress.stats().dropped > 0);
  feeding.stop();
  const start = performance.now();
  await egress.close();
  expect(performance.now() - start).toBeLessThan(1000);
});

test("a peer that is away does not hold back a mix that waits for room", async () => {
  const egress = push(await freePort());
  const events = collect(egress.events);
  await until("a failure", () => events.length > 1);
  for (const packet of media.packets(1000)) {
    egress.push(packet);
    await egress.drained();
  }
});

test("what was encoded before the first connect is not dropped, what is encoded while the peer is away is", async () => {
  const port = await freePort();
  const egress = push(port);
  const events = collect(egress.events);
  for (const packet of media.packets(1000)) egress.push(packet);
  await until("a failure", () => typesOf(events).includes("retrying"));
  const { door, taken } = await openServer(undefined, port);
  await until("packets", () => (taken[0]?.packets.length ?? 0) > 5);
  expect(egress.stats()).toMatchObject({ dropped: 0, droppedBy: { slow: 0, away: 0 } });
  const retries = (): number => typesOf(events).filter((type) => type === "retrying").length;
  const before = retries();
  await door.close();
  await until("it is away", () => retries() > before);
  for (const packet of media.packets(1000, 200_000_000)) egress.push(packet);
  const { dropped, droppedBy } = egress.stats();
  expect(dropped).toBeGreaterThan(500);
  expect(droppedBy).toEqual({ slow: 0, away: dropped });
});

describe("parseRtmpUrl", () => {
  const good = [
    {
      url: "rtmp://a.example/live/key",
      want: { secure: false, host: "a.example", port: 1935, app: "live", key: "key" },
    },
    {
      url: "rtmps://a/live/key?a=b&c",
      want: { secure: true, port: 443, key: "key?a=b&c", tcUrl: "rtmps://a/live" },
    },
    {
      url: "RTMP://[::1]:1936/app/inst/key",
      want: { host: "::1", port: 1936, app: "app/inst", tcUrl: "rtmp://[::1]:1936/app/inst" },
    },
    { url: "rtmps://h:443/rtmp/FB-1?s_bl=1&s_l=/x", want: { app: "rtmp", key: "FB-1?s_bl=1&s_l=/x" } },
  ];
  for (const { url, want } of good) test(url, () => expect(parseRtmpUrl(url)).toMatchObject(want));
  for (const url of [
    "http://a/b/c",
    "rtmp://a/live",
    "rtmp://a/live/",
    "rtmp:///live/x",
    "rtmp://a:99999/live/x",
    "",
  ]) {
    test(`refuses ${JSON.stringify(url)}`, () =>
      expect(() => parseRtmpUrl(url)).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_ARGUMENT", pointer: "/url" }),
      ));
  }
});
