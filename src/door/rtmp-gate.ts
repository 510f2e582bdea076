import type { TlsOptions } from "node:tls";
import type { DoorCounts } from "../contract/door-counts.ts";
import { errorInfo, NotFoundError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import { LiveClock } from "../media/clock.ts";
import type { PublisherSeat, Publishers } from "../service/publishers.ts";
import { delay } from "../service/time.ts";
import type { WorkerProcess } from "../service/worker.ts";
import { PacketPipeWriter } from "../transport/packet-pipe-writer.ts";
import { RtmpDoor } from "./rtmp.ts";
import type { PublishRequest, RtmpPublish } from "./rtmp-publish.ts";
import type { PublishDecision } from "./rtmp-session.ts";

/** Where a door listens. */
interface Address {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
}

/** Between attempts to hand a publisher to a worker that lives but did not want it. */
const RETRY_MS = 200;

/**
 * The RTMP doors of a node: whoever is let in becomes a source of a mix, and its packets go to the worker that runs
 * that mix, whichever that is at the time. A publisher does not notice when a worker is restarted.
 */
export class RtmpGate implements AsyncDisposable {
  readonly #publishers: Publishers;
  readonly #clock = new LiveClock();
  readonly #log: Logger;
  readonly #doors: { readonly name: "rtmp" | "rtmps"; readonly door: RtmpDoor }[] = [];
  /** One writer per pipe: publishers of one worker share it. */
  readonly #writers = new WeakMap<WorkerProcess, PacketPipeWriter>();

  constructor(publishers: Publishers, log: Logger) {
    this.#publishers = publishers;
    this.#log = log;
  }

  /**
   * Opens one door, with TLS if it is given.
   *
   * @returns where it listens. @throws {InvalidArgumentError} `ERR_INVALID_ARGUMENT` if it cannot.
   */
  async listen(address: Address, tls?: TlsOptions): Promise<Address> {
    const door = await RtmpDoor.listen({
      ...address,
      clock: this.#clock,
      log: this.#log,
      ...(tls === undefined ? {} : { tls }),
      authorize: (request) => this.#authorize(request),
    });
    this.#doors.push({ name: tls === undefined ? "rtmp" : "rtmps", door });
    void this.#serve(door);
    return door.address;
  }

  /** What each door has counted since it was opened. */
  readings(): (DoorCounts & { readonly door: string })[] {
    return this.#doors.map(({ name, door }) => ({ door: name, ...door.stats() }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#doors.map(({ door }) => door.close()));
  }

  async #authorize(request: PublishRequest): Promise<PublishDecision> {
    try {
      const { mix, source } = await this.#publishers.authorize(request);
      return { allow: true, key: `${mix}/${source}` };
    } catch (error) {
      const code = error instanceof NotFoundError ? "BadName" : "Unauthorized";
      return { allow: false, code, description: errorInfo(error).message };
    }
  }

  async #serve(door: RtmpDoor): Promise<void> {
    for await (const publish of door) void this.#take(publish);
  }

  async #take(publish: RtmpPublish): Promise<void> {
    const { remote, encoder } = publish;
    try {
      const seat = await this.#publishers.attach(await this.#publishers.authorize(publish));
      this.#log.info({ mix: seat.mix, source: seat.source, remote, encoder }, "publisher came");
      seat.ended.addEventListener("abort", () => void publish.close(seat.ended.reason));
      await this.#forward(publish, seat);
      seat.detach();
      this.#log.info({ mix: seat.mix, source: seat.source, remote }, "publisher left");
    } catch (error) {
      this.#log.warn({ error: errorInfo(error), remote }, "publisher refused");
      await publish.close();
    }
  }

  /** Until the publisher is gone or the mix is; who is gone at once is still heard out. */
  async #forward(publish: RtmpPublish, seat: PublisherSeat): Promise<void> {
    const end = publish.closed.then(() => undefined);
    const workers = seat.workers();
    let next: IteratorResult<WorkerProcess, void> | undefined = await workers.next();
    while (next?.done === false) {
      await this.#feed(publish, seat, next.value);
      next = await Promise.race([workers.next(), end]);
    }
    await publish.close();
  }

  /** Until the publisher is gone or the worker is; a worker that turns the stream away is asked again. */
  async #feed(publish: RtmpPublish, seat: PublisherSeat, worker: WorkerProcess): Promise<void> {
    const writer = this.#writer(worker);
    while (!writer.isClosed) {
      const stream = writer.open(`${seat.mix}/${seat.source}`);
      for await (const packet of publish.packets) {
        seat.touch();
        stream.push(packet);
        if (stream.isFull) await stream.ready();
        if (stream.isClosed) break;
      }
      if (publish.isClosed) {
        const reason = await publish.closed;
        stream.end(reason === undefined ? undefined : errorInfo(reason));
        return;
      }
      await delay(RETRY_MS);
    }
  }

  #writer(worker: WorkerProcess): PacketPipeWriter {
    const known = this.#writers.get(worker);
    const writer = known ?? new PacketPipeWriter(worker.packetPipe, { clock: this.#clock });
    this.#writers.set(worker, writer);
    return writer;
  }
}
