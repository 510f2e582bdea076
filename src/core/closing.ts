/** How long an output may take to close: a recording's disk to take its end, a peer what is queued for it. */
export const OUTPUT_CLOSE_MS = 10_000;
/** For what a mix does before its outputs close: its last tick, and what encoders still hold. */
const FLUSH_MS = 5000;
/**
 * How long a mix may take to close; after that it hangs, and its worker with it. Its outputs close side by side, so one
 * whose disk is stuck has its time and fails alone.
 */
export const MIX_CLOSE_MS = FLUSH_MS + OUTPUT_CLOSE_MS;
