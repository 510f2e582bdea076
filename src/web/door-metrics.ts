import { Counter, Gauge, type Registry } from "prom-client";

/** Counts of one door since it was opened. */
export interface DoorReading {
  /** What is spoken there: `rtmp`, `rtmps`. */
  readonly door: string;
  readonly connections: number;
  readonly publishes: number;
  /** Connections that were closed for what their peer did, by error code. */
  readonly closedFor: Readonly<Record<string, number>>;
  /** Connections that were turned away at once, because there were too many. */
  readonly turnedAway: number;
  /** Messages with media that could not be read. */
  readonly bad: number;
  /** Messages with media of codecs and tracks that are not taken. */
  readonly ignored: number;
}

/** The doors of a node. */
export interface Doors {
  readings(): readonly DoorReading[];
}

/** What doors have counted, told anew at each scrape. */
export class DoorMetrics {
  readonly #connections: Gauge<"door">;
  readonly #publishes: Gauge<"door">;
  readonly #closed: Counter<"door" | "code">;
  readonly #turnedAway: Counter<"door">;
  readonly #unusable: Counter<"door" | "why">;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#connections = new Gauge({
      name: "tessera_door_connections",
      help: "Connections that a door has open",
      labelNames: ["door"],
      registers,
    });
    this.#publishes = new Gauge({
      name: "tessera_door_publishes",
      help: "Publishers that a door has let in",
      labelNames: ["door"],
      registers,
    });
    this.#closed = new Counter({
      name: "tessera_door_closed_total",
      help: "Connections closed for what their peer did",
      labelNames: ["door", "code"],
      registers,
    });
    this.#turnedAway = new Counter({
      name: "tessera_door_turned_away_total",
      help: "Connections turned away because there were too many",
      labelNames: ["door"],
      registers,
    });
    this.#unusable = new Counter({
      name: "tessera_door_media_unusable_total",
      help: "Messages of publishers with media that could not be read, or whose codec or track is not taken",
      labelNames: ["door", "why"],
      registers,
    });
  }

  tell(readings: readonly DoorReading[]): void {
    for (const metric of [this.#connections, this.#publishes, this.#closed, this.#turnedAway, this.#unusable])
      metric.reset();
    for (const { door, ...counts } of readings) {
      this.#connections.inc({ door }, counts.connections);
      this.#publishes.inc({ door }, counts.publishes);
      this.#turnedAway.inc({ door }, counts.turnedAway);
      this.#unusable.inc({ door, why: "bad" }, counts.bad);
      this.#unusable.inc({ door, why: "ignored" }, counts.ignored);
      for (const [code, count] of Object.entries(counts.closedFor)) this.#closed.inc({ door, code }, count);
    }
  }
}
