import { RtmpDoor } from "../../src/door/rtmp.ts";
import type { RtmpPublish } from "../../src/door/rtmp-publish.ts";
import { LiveClock } from "../../src/media/clock.ts";

/** What came over one connection. */
export interface Received {
  /** Stamps in milliseconds as they came, in the order of arrival. */
  readonly video: number[];
  readonly audio: number[];
}

/** An RTMP server that keeps nothing but stamps: servers that record rewrite them. */
export class Receiver implements AsyncDisposable {
  /** One per connection, in order. */
  readonly connections: Received[] = [];
  readonly #door: RtmpDoor;

  static async open(): Promise<Receiver> {
    const authorize = async ({ name }: { name: string }) => ({ allow: true, key: name }) as const;
    const door = await RtmpDoor.listen({ host: "127.0.0.1", port: 0, clock: new LiveClock(), authorize });
    return new Receiver(door);
  }

  private constructor(door: RtmpDoor) {
    this.#door = door;
    void this.#serve();
  }

  get port(): number {
    return this.#door.address.port;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#door.close();
  }

  async #serve(): Promise<void> {
    for await (const publish of this.#door) void this.#take(publish);
  }

  async #take(publish: RtmpPublish): Promise<void> {
    const received: Received = { video: [], audio: [] };
    this.connections.push(received);
    for await (const { kind, dtsUs } of publish.packets) received[kind].push(dtsUs / 1000);
  }
}

/** Stamps of all connections that are smaller than the one before. */
export const backward = (stampsMs: readonly number[]): number[] =>
  stampsMs.filter((stamp, n) => n > 0 && stamp < (stampsMs[n - 1] ?? 0));
