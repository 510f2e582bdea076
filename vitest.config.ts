import { defineConfig } from "vitest/config";

/**
 * Three projects: `fast` needs no programs beside ours and stays under a minute; `peers` drives real
 * third-party programs; `long` holds the runs of minutes, outside `npm test`.
 * A test's file name says which: `x.test.ts`, `x.peers.test.ts`, `x.long.test.ts`.
 */
const projects = {
  fast: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/**/*.peers.test.ts", "test/**/*.long.test.ts"],
    maxWorkers: 2,
    sequence: { groupOrder: 0 },
  },
  // Real programs in real time: one file after the other, with the machine to itself.
  peers: {
    include: ["test/**/*.peers.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    sequence: { groupOrder: 1 },
  },
  long: {
    include: ["test/**/*.long.test.ts"],
    testTimeout: 3_600_000,
    hookTimeout: 60_000,
    maxWorkers: 1,
    sequence: { groupOrder: 2 },
  },
};

export default defineConfig({
  test: {
    // An unhandled rejection or exception fails the run, also when every test passed.
    dangerouslyIgnoreUnhandledErrors: false,
    pool: "forks",
    testTimeout: 20_000,
    projects: Object.entries(projects).map(([name, test]) => ({ extends: true, test: { name, ...test } })),
  },
});
