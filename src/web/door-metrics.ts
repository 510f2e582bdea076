import { Counter, Gauge, type Registry } from "prom-client";
import type { DoorCounts } from "../contract/door-counts.ts";

/** What one door has counted. */
export interface DoorReading extends DoorCounts {
  /** What is spoken there: `rtmp`, `rtmps`. */
  readonly door: string;
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
