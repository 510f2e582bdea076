/** What a door for publishers has counted since it was opened. */
export interface DoorCounts {
  readonly connections: number;
  readonly publishes: number;
  /** Connections closed for what their peer did, by error code. */
  readonly closedFor: Readonly<Record<string, number>>;
  /** Connections turned away at once, because there were too many. */
  readonly turnedAway: number;
  /** Messages of publishers with media that could not be read. */
  readonly bad: number;
  /** Messages of publishers with media of codecs and tracks that are not taken. */
  readonly ignored: number;
}
