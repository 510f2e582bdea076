import { getEventListeners, once } from "node:events";
import { describe, expect, test } from "vitest";
import { Channel } from "../../src/core/channel.ts";
import { createLogger } from "../../src/core/log.ts";
import { us } from "../../src/core/time.ts";
import type { Ingest } from "../../src/ingest/ingest.ts";
import type { RawIngest } from "../../src/ingest/raw.ts";
import type { Clock } from "../../src/media/clock.ts";
import type { VideoFrame } from "../../src/media/frame.ts";
import type { Packet } from "../../src/media/packet.ts";
import { DecodingSlots } from "../../src/session/decoding-slot.ts";
import { Source } from "../../src/session/source.ts";
import { type Publishers, SourceOpener } from "../../src/session/source-opener.ts";
import { codedPictures, codedSound } from "./packets.ts";
import { Stage, sourceSpec } from "./stage.ts";

/** Publishers whose packets come when the test says so. */
class Script implements Publishers {
  readonly signals: AbortSignal[] = [];
  #inputs: Channel<Packet>[] = [];
  #clock: Clock | undefined;

  open(_: unknown, clock: Clock, signal: AbortSignal): Ingest {
    const input = new Channel<Packet>();
    this.#clock = clock;
    this.#inputs.push(input);
    this.signals.push(signal);
    const close = async (): Promise<void> => input.close({ drop: true });
    signal.addEventListener("abort", () => void close());
    return {
      dropped: 0,
      isFinite: false,
      close,
      [Symbol.asyncDispose]: close,
      [Symbol.asyncIterator]: () => input[Symbol.asyncIterator](),
    };
  }

  get sessions(): number {
    return this.#inputs.length;
  }

  send(packets: readonly Packet[]): void {
    const arrivalUs = this.#clock?.now();
    for (const packet of packets)
      this.#inputs.at(-1)?.push(arrivalUs === undefined ? packet : { ...packet, arrivalUs });
  }

  hangUp(): void {
    this.#inputs.at(-1)?.close();
  }
}

const until = async (isSo: () => boolean): Promise<void> => {
  for (const endMs = performance.now() + 8000; !isSo() && performance.now() < endMs; )
    await new Promise((resolve) => setImmediate(resolve));
  expect(isSo()).toBe(true);
};
const sourceOf = ({ mix }: Stage): Source => {
  const source = mix.sources.get("p");
  if (source === undefined) throw new Error("no source");
  return source;
};
const heldMs = ({ mix }: Stage): number => mix.mixer.stats("p").playout.heldMs;
const stageWith = (script: Script, over: object = {}): Stage => {
  const stage = new Stage({ views: [] }, {}, script);
  stage.mix.addSource(sourceSpec({ id: "p", kind: "rtmp", ...over }));
  return stage;
};

describe("a publisher", () => {
  test("is heard while its picture catches up", async () => {
    const script = new Script();
    await using stage = stageWith(script);
    const source = sourceOf(stage);
    await until(() => script.sessions === 1);
    const pictures = await codedPictures(270, 300);
    script.send(pictures.slice(0, 240));
    await until(() => source.picture.deliveredUs >= 239 * 40_000);
    let isShown = false;
    const shown = source.picture.show(true).then(() => {
      isShown = true;
    });
    const [first, ...rest] = codedSound(5, 11);
    script.send([...pictures.slice(240), ...(first === undefined ? [] : [first]), ...rest]);
    await until(() => heldMs(stage) > 0);
    expect(isShown).toBe(false);
    await shown;
    await until(() => source.picture.decoded === 270);
    expect(source.picture.queue.newest?.sourceUs).toBe(269 * 40_000);
  });

  test("that falls silent is stale, and online with its next packet", async () => {
    const script = new Script();
    await using stage = stageWith(script, { staleAfterMs: 100 });
    await until(() => script.sessions === 1);
    const sound = codedSound(4);
    script.send(sound.slice(0, 2));
    await until(() => sourceOf(stage).state === "stale");
    script.send(sound.slice(2));
    await until(() => sourceOf(stage).state === "online");
    expect(stage.about("p")).toEqual(["source.added", "source.online", "source.stale", "source.online"]);
  });

  test("that hangs up and returns with stamps from 0 is heard from then on, and leaves nothing of its first visit", async () => {
    const script = new Script();
    await using stage = stageWith(script);
    const { mix } = stage;
    await until(() => script.sessions === 1);
    script.send(codedSound(10));
    await until(() => heldMs(stage) > 0);
    const [signal] = script.signals;
    script.hangUp();
    await until(() => script.sessions === 2);
    expect(signal?.aborted).toBe(false);
    await until(() => heldMs(stage) === 0);
    script.send(codedSound(10));
    await until(() => heldMs(stage) > 0);
    expect(mix.mixer.stats("p").playout.repeatedMs).toBe(0);
    const [stop] = script.signals.slice(-1);
    expect(stop).not.toBe(signal);
    expect(getEventListeners(stop ?? new EventTarget(), "abort")).toHaveLength(1);
    expect(stage.about("p")).toEqual(["source.added", "source.online", "source.offline", "source.online"]);
  });
});

/** An input that has its one picture ready just when it is told to stop. */
class LastMoment extends SourceOpener {
  disposed = 0;

  override open(_: unknown, signal: AbortSignal): RawIngest {
    const close = async (): Promise<void> => undefined;
    const stopped = once(signal, "abort");
    const dispose = (): void => {
      this.disposed += 1;
    };
    const frame = { ptsUs: us(0), durationUs: 40_000, [Symbol.dispose]: dispose };
    return {
      dropped: 0,
      isFinite: false,
      close,
      [Symbol.asyncDispose]: close,
      async *[Symbol.asyncIterator]() {
        await stopped;
        yield frame as unknown as VideoFrame;
      },
    };
  }
}

test("a picture that comes while its source is removed is let go", async () => {
  await using stage = new Stage({ views: [] });
  const { clock, mixer, pulse } = stage.mix;
  const shared = { clock, virtual: false, longestPeriodUs: () => 0 };
  const opener = new LastMoment({
    ...shared,
    mix: "m",
    publishers: new Script(),
    destinations: { allow: [], loopback: false },
  });
  const context = { ...shared, mixer, pulse, opener, log: createLogger("silent"), endsWithInput: false };
  const slot = new DecodingSlots(false).take("m", "s");
  const source = new Source(sourceSpec({ id: "s", kind: "test" }), 1, slot, {
    ...context,
    emit: () => undefined,
  });
  source.start();
  await source.close();
  expect(opener.disposed).toBe(1);
});
