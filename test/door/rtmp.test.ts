import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ms, us } from "../../src/core/time.ts";
import { RtmpDoor, type RtmpDoorLimits } from "../../src/door/rtmp.ts";
import type { PublishRequest, RtmpPublish } from "../../src/door/rtmp-publish.ts";
import type { PublishDecision } from "../../src/door/rtmp-session.ts";
import { type Clock, LiveClock, VirtualClock } from "../../src/media/clock.ts";
import type { Packet } from "../../src/media/packet.ts";
import { RTMP } from "../../src/protocol/rtmp-message.ts";
import { until } from "../kit/process.ts";
import { mutate, seeded } from "../protocol/fuzz/mutate.ts";
import { captures } from "../protocol/fuzz/targets.ts";
import { AVC_HEADER, KEY_FRAME, RawPublisher } from "./raw-publisher.ts";

const doors: RtmpDoor[] = [];
afterEach(async () => {
  for (const door of doors.splice(0)) await door.close();
});

/** A door, and every publish it gave out with the packets it brought. */
async function open(
  options: {
    clock?: Clock;
    limits?: Partial<RtmpDoorLimits>;
    authorize?: (request: PublishRequest) => Promise<PublishDecision>;
  } = {},
): Promise<{ door: RtmpDoor; port: number; taken: { publish: RtmpPublish; packets: Packet[] }[] }> {
  const authorize = options.authorize ?? ((): Promise<PublishDecision> => Promise.resolve({ allow: true }));
  const { clock = new LiveClock(), limits = {} } = options;
  const door = await RtmpDoor.listen({ host: "127.0.0.1", port: 0, clock, limits, authorize });
  doors.push(door);
  const taken: { publish: RtmpPublish; packets: Packet[] }[] = [];
  void (async () => {
    for await (const publish of door) {
      const entry = { publish, packets: [] as Packet[] };
      taken.push(entry);
      void (async () => {
        for await (const packet of publish.packets) entry.packets.push(packet);
      })();
    }
  })();
  return { door, port: door.address.port, taken };
}

/** A door whose publishes the test takes itself. */
async function openUnread(): Promise<{ door: RtmpDoor }> {
  const authorize = (): Promise<PublishDecision> => Promise.resolve({ allow: true });
  const door = await RtmpDoor.listen({ host: "127.0.0.1", port: 0, clock: new LiveClock(), authorize });
  doors.push(door);
  return { door };
}

/** Publishes for as long as the test needs: a sequence header, then a key frame every 10 ms. */
async function goodPublisher(
  port: number,
  name: string,
): Promise<{ raw: RawPublisher; stop(): Promise<void> }> {
  const raw = await RawPublisher.open(port);
  expect(await raw.publish(name)).toBe("NetStream.Publish.Start");
  raw.send(RTMP.video, AVC_HEADER);
  let stampMs = 0;
  const timer = setInterval(() => {
    stampMs += 10;
    raw.send(RTMP.video, KEY_FRAME, 1, stampMs);
  }, 10);
  return {
    raw,
    stop: async () => {
      clearInterval(timer);
      await raw[Symbol.asyncDispose]();
    },
  };
}

describe("who may publish", () => {
  test("a publish brings what the encoder said and packets with info", async () => {
    const seen: PublishRequest[] = [];
    const { port, taken } = await open({
      authorize: (request) => {
        seen.push(request);
        return Promise.resolve({ allow: true });
      },
    });
    await using raw = await RawPublisher.open(port);
    await raw.publish("room?source=cam&token=t");
    raw.send(RTMP.video, AVC_HEADER);
    raw.send(RTMP.video, KEY_FRAME, 1, 40);
    await until("a packet", () => taken[0]?.packets.length === 1);
    expect(seen[0]).toMatchObject({ app: "live", name: "room", encoder: "raw", remote: "127.0.0.1" });
    expect([seen[0]?.query.get("source"), seen[0]?.query.get("token")]).toEqual(["cam", "t"]);
    expect(taken[0]?.packets[0]).toMatchObject({
      kind: "video",
      keyFrame: true,
      dtsUs: 40_000,
      info: { codec: "h264" },
    });
    raw.command(1, "deleteStream", 4, null, 1);
    expect(await taken[0]?.publish.closed).toBeUndefined();
  });

  const refusals: { name: string; decision: PublishDecision; status: string; text: string }[] = [
    {
      name: "a wrong token",
      decision: { allow: false, code: "Unauthorized", description: "wrong token" },
      status: "NetStream.Publish.Unauthorized",
      text: "wrong token",
    },
    {
      name: "an unknown mix",
      decision: { allow: false, code: "BadName", description: "no such mix" },
      status: "NetStream.Publish.BadName",
      text: "no such mix",
    },
  ];
  for (const { name, decision, status, text } of refusals) {
    test(`${name} is told to the encoder, which is then hung up on`, async () => {
      const { port, taken, door } = await open({ authorize: () => Promise.resolve(decision) });
      await using raw = await RawPublisher.open(port);
      expect(await raw.publish("x")).toBe(status);
      expect(raw.description).toBe(text);
      await until("the end", () => raw.isClosed);
      expect(taken).toEqual([]);
      expect(door.stats().closedFor).toEqual({ ERR_UNAUTHORIZED: 1 });
    });
  }

  test("a hook that throws refuses, and nothing breaks", async () => {
    const { port } = await open({ authorize: () => Promise.reject(new Error("database")) });
    await using raw = await RawPublisher.open(port);
    expect(await raw.publish("x")).toBe("NetStream.Publish.Unauthorized");
    expect(raw.description).not.toContain("database");
  });

  test("media without a publish, or after a refused one, reaches nobody", async () => {
    const { port, taken } = await open();
    const good = await goodPublisher(port, "victim");
    await using raw = await RawPublisher.open(port);
    await raw.shake();
    raw.command(0, "connect", 1, { app: "live" });
    raw.command(1, "play", 3, null, "victim");
    await until("an answer", () => raw.status !== undefined);
    expect(raw.status).toBe("NetStream.Play.Failed");
    raw.send(RTMP.video, Buffer.concat([KEY_FRAME, Buffer.from("INJECTED")]));
    await until("more packets of the victim", () => (taken[0]?.packets.length ?? 0) > 10);
    expect(taken[0]?.packets.every(({ data }) => !Buffer.from(data).includes("INJECTED"))).toBe(true);
    await good.stop();
  });
});

describe("a key in use", () => {
  test("is refused while its publisher sends", async () => {
    const { port, taken } = await open();
    const good = await goodPublisher(port, "key");
    await using late = await RawPublisher.open(port);
    expect(await late.publish("key")).toBe("NetStream.Publish.BadName");
    expect(late.description).toContain("publishing under this name");
    expect(good.raw.isClosed).toBe(false);
    expect(taken.length).toBe(1);
    await good.stop();
  });

  test("is not in use by another source of the same mix", async () => {
    const { port, taken } = await open();
    const good = await goodPublisher(port, "mix?source=a");
    await using other = await RawPublisher.open(port);
    expect(await other.publish("mix?source=b")).toBe("NetStream.Publish.Start");
    expect(taken.length).toBe(2);
    await good.stop();
  });

  test("goes to the newcomer when its publisher was silent for five seconds", async () => {
    const clock = new VirtualClock();
    const { port, taken } = await open({ clock });
    await using silent = await RawPublisher.open(port);
    await silent.publish("key");
    clock.advanceTo(ms(5100));
    await using late = await RawPublisher.open(port);
    expect(await late.publish("key")).toBe("NetStream.Publish.Start");
    await until("the old one is closed", () => silent.isClosed);
    expect(await taken[0]?.publish.closed).toMatchObject({ code: "ERR_PEER_LOST" });
    expect(taken[1]?.publish.isClosed).toBe(false);
  });
});

describe("a publisher without media that can be used", () => {
  /** Speex, a byte of it; and H.264 without its sequence header. */
  const useless: [string, number, string, string, object][] = [
    ["in a codec that is not taken", RTMP.audio, "b200", "speex is not supported", { bad: 0 }],
    [
      "that cannot be read",
      RTMP.video,
      "1701000000000000026588",
      "no media that can be used",
      { ignored: 0 },
    ],
  ];
  for (const [name, type, body, text, zero] of useless) {
    test(`${name} is told so after three seconds, and counted`, async () => {
      const clock = new VirtualClock();
      const { door, port, taken } = await open({ clock });
      await using raw = await RawPublisher.open(port);
      await raw.publish("m");
      for (let at = 0; at <= 4000 && raw.status === "NetStream.Publish.Start"; at += 250) {
        expect(door.stats().publishes).toBe(1);
        raw.send(type, Buffer.from(body, "hex"), 1, at);
        const sent = door.stats();
        await until("the message", () => {
          const { bad, ignored } = door.stats();
          return bad + ignored > sent.bad + sent.ignored || raw.status !== "NetStream.Publish.Start";
        });
        await step(clock, at + 250);
      }
      await until("the end", () => raw.isClosed);
      expect([raw.status, raw.description]).toEqual([
        "NetStream.Publish.Failed",
        expect.stringContaining(text),
      ]);
      expect(await taken[0]?.publish.closed).toMatchObject({ code: "ERR_MEDIA_INVALID" });
      expect(clock.now()).toBeGreaterThanOrEqual(ms(3000));
      const stats = door.stats();
      expect(stats).toMatchObject({ publishes: 0, closedFor: { ERR_MEDIA_INVALID: 1 }, ...zero });
      expect(stats.bad + stats.ignored).toBeGreaterThan(10);
    });
  }

  test("in one of its two streams goes on with the other", async () => {
    const clock = new VirtualClock();
    const { port, taken } = await open({ clock });
    await using raw = await RawPublisher.open(port);
    await raw.publish("m");
    raw.send(RTMP.video, AVC_HEADER);
    for (let at = 0; at < 5000; at += 250) {
      raw.send(RTMP.audio, Buffer.from("b200", "hex"), 1, at);
      raw.send(RTMP.video, KEY_FRAME, 1, at);
      await until("its picture", () => taken[0]?.packets.length === at / 250 + 1);
      await step(clock, at + 250);
    }
    expect(raw.isClosed).toBe(false);
    expect(taken[0]?.publish.stats().unsupported).toEqual(["speex"]);
  });
});

/** Each with a publisher beside it that must not lose a packet. */
describe("bad peers are closed with a reason, and cost nobody else anything", () => {
  async function beside(
    port: number,
    taken: readonly { packets: Packet[] }[],
    harm: () => Promise<void>,
  ): Promise<void> {
    const good = await goodPublisher(port, "good");
    await harm();
    const before = taken[0]?.packets.length ?? 0;
    await until("the good one goes on", () => (taken[0]?.packets.length ?? 0) > before + 5);
    const stamps = (taken[0]?.packets ?? []).map(({ dtsUs }) => dtsUs);
    expect(stamps).toEqual(stamps.map((_, index) => us((index + 1) * 10_000)));
    expect(good.raw.isClosed).toBe(false);
    await good.stop();
  }

  test("a message of 16 MB is refused when it is announced", async () => {
    const { door, port, taken } = await open();
    await beside(port, taken, async () => {
      await using raw = await RawPublisher.open(port);
      await raw.publish("big");
      const header = Buffer.from("06000000ffffff0901000000", "hex");
      raw.socket.write(Buffer.concat([header, Buffer.alloc(128)]));
      await until("the end", () => raw.isClosed);
    });
    expect(door.stats().closedFor.ERR_LIMIT).toBe(1);
  });

  test("many chunk streams that each hold a little are refused by their number", async () => {
    const { door, port } = await open();
    await using raw = await RawPublisher.open(port);
    await raw.publish("many");
    for (let id = 3; id < 60; id++) {
      const header = Buffer.from("0000000010000901000000".padStart(24, "0"), "hex");
      header[0] = id;
      header.writeUIntBE(0x100000, 4, 3);
      header[7] = RTMP.video;
      raw.socket.write(Buffer.concat([header, Buffer.alloc(128)]));
    }
    await until("the end", () => raw.isClosed);
    expect(door.stats().closedFor.ERR_LIMIT).toBe(1);
  });

  test("a peer that says nothing is closed after the handshake's time", async () => {
    const clock = new VirtualClock();
    const { door, port } = await open({ clock });
    await using raw = await RawPublisher.open(port);
    await until("the connection", () => door.stats().connections === 1);
    clock.advanceTo(ms(4800));
    expect(raw.isClosed).toBe(false);
    for (let at = 5000; at < 6000 && !raw.isClosed; at += 250) await step(clock, at);
    await until("the end", () => raw.isClosed);
    expect(door.stats().closedFor).toEqual({ ERR_LIMIT: 1 });
  });

  test("a peer that shakes hands and never publishes is closed", async () => {
    const clock = new VirtualClock();
    const { door, port } = await open({ clock });
    await using raw = await RawPublisher.open(port);
    await raw.shake();
    for (let at = 250; at <= 11_000 && !raw.isClosed; at += 250) await step(clock, at);
    await until("the end", () => raw.isClosed);
    expect(door.stats().closedFor).toEqual({ ERR_LIMIT: 1 });
    expect(clock.now()).toBeGreaterThanOrEqual(ms(10_000));
  });

  const slow = [
    { name: "one byte a second", everyMs: 1000, code: "ERR_LIMIT" },
    { name: "nothing at all", everyMs: Number.POSITIVE_INFINITY, code: "ERR_PEER_LOST" },
  ];
  for (const { name, everyMs, code } of slow) {
    test(`a publisher that sends ${name} is closed within half a minute`, async () => {
      const clock = new VirtualClock();
      const { door, port, taken } = await open({ clock });
      await using raw = await RawPublisher.open(port);
      await raw.publish("slow");
      for (let at = 250; at <= 31_000 && !raw.isClosed; at += 250) {
        if (at % everyMs === 0) raw.socket.write(Buffer.from([4]));
        await step(clock, at);
      }
      await until("the end", () => raw.isClosed);
      expect(await taken[0]?.publish.closed).toMatchObject({ code });
      expect(door.stats().closedFor).toEqual({ [code]: 1 });
    });
  }

  test("2,000 mutated connections leave the door open, and the good publisher whole", async () => {
    const { door, port, taken } = await open({ limits: { maxConnectionsPerAddress: 50 } });
    const random = seeded(7);
    const seeds = [...captures.values()];
    await beside(port, taken, async () => {
      for (let index = 0; index < 2000; index += 20) {
        await Promise.all(
          Array.from({ length: 20 }, (_, offset) => attack(port, index + offset, seeds, random)),
        );
      }
    });
    await until("the bad ones are gone", () => door.stats().connections <= 1);
    expect(Object.keys(door.stats().closedFor).every((code) => code.startsWith("ERR_"))).toBe(true);
    expect(door.stats().closedFor.ERR_INTERNAL).toBeUndefined();
  });

  test("connections beyond the limit per address are turned away at once", async () => {
    const { door, port } = await open({ limits: { maxConnectionsPerAddress: 3 } });
    const all = await Promise.all(Array.from({ length: 5 }, () => RawPublisher.open(port)));
    await until("two are turned away", () => all.filter(({ isClosed }) => isClosed).length === 2);
    expect(door.stats().turnedAway).toBe(2);
    for (const raw of all) await raw[Symbol.asyncDispose]();
  });
});

describe("a publish that nobody reads", () => {
  test("is left unread by the door, so that it takes bounded memory, and goes on when it is read", async () => {
    const { door } = await openUnread();
    await using raw = await RawPublisher.open(door.address.port);
    await raw.publish("unread");
    raw.send(RTMP.video, AVC_HEADER);
    const frame = Buffer.concat([KEY_FRAME, Buffer.alloc(100_000)]);
    for (let index = 0; index < 300; index++) raw.send(RTMP.video, frame, 1, index * 40);
    const next = await door[Symbol.asyncIterator]().next();
    const publish = next.value;
    if (publish === undefined) throw new Error("no publish");
    // 30 MB were sent; the door holds its 4 MB, one unread socket buffer, and the kernel the rest.
    await until("the socket fills", () => raw.socket.writableLength > 1 << 20);
    const received = publish.stats().receivedBytes;
    expect(received).toBeLessThan(12 << 20);
    let count = 0;
    for await (const packet of publish.packets) {
      count += 1;
      if (packet.dtsUs === 299 * 40_000) break;
    }
    expect(count).toBe(300);
  });

  test("a new reader ends the one before, also one that waits", async () => {
    const { door } = await openUnread();
    await using raw = await RawPublisher.open(door.address.port);
    await raw.publish("two");
    const { value: publish } = await door[Symbol.asyncIterator]().next();
    if (publish === undefined) throw new Error("no publish");
    const first = publish.packets[Symbol.asyncIterator]().next();
    const second = publish.packets[Symbol.asyncIterator]().next();
    raw.send(RTMP.video, AVC_HEADER);
    raw.send(RTMP.video, KEY_FRAME, 1, 40);
    expect(await first).toEqual({ done: true, value: undefined });
    expect((await second).value).toMatchObject({ dtsUs: 40_000, info: { codec: "h264" } });
  });

  test("who reads on in place of another begins at a key frame with info", async () => {
    const { door } = await openUnread();
    await using raw = await RawPublisher.open(door.address.port);
    await raw.publish("again");
    const delta = Buffer.from(KEY_FRAME);
    delta[0] = 0x27;
    raw.send(RTMP.video, AVC_HEADER);
    raw.send(RTMP.video, KEY_FRAME, 1, 0);
    raw.send(RTMP.video, delta, 1, 40);
    const { value: publish } = await door[Symbol.asyncIterator]().next();
    if (publish === undefined) throw new Error("no publish");
    for await (const packet of publish.packets) if (packet.dtsUs === 40_000) break;
    raw.send(RTMP.video, delta, 1, 80);
    raw.send(RTMP.video, KEY_FRAME, 1, 120);
    for await (const packet of publish.packets) {
      expect(packet).toMatchObject({ dtsUs: 120_000, keyFrame: true, info: { codec: "h264" } });
      break;
    }
  });
});

/** Lets sockets do their work, then moves time. */
async function step(clock: VirtualClock, atMs: number): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  clock.advanceTo(ms(atMs));
}

/** One connection that sends a damaged recording and hangs up. */
async function attack(
  port: number,
  index: number,
  seeds: readonly Buffer[],
  random: () => number,
): Promise<void> {
  const seed = seeds[index % seeds.length] ?? Buffer.alloc(0);
  const bytes = mutate(seed, seed, random, index % 3 === 0 ? 3073 : 0);
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => {});
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.on("close", () => resolve());
  socket.resume();
  socket.end(bytes);
  await promise;
}
