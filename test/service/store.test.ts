import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { MixSpec } from "../../src/contract/mix-spec.ts";
import { StorageError } from "../../src/core/error.ts";
import { Layouts } from "../../src/service/layouts.ts";
import { stateOf } from "../../src/service/state.ts";
import { Store, type StoredMix } from "../../src/service/store.ts";
import { tempFolder } from "./fixtures/node.ts";

const layouts = new Layouts();
const control = { createdAtMs: 1, bodies: {}, crashes: {}, quarantined: [], undeclared: [] };

const mix = (id: string, more: Partial<StoredMix> = {}): StoredMix => ({
  state: stateOf(MixSpec.parse({}), id, 1000, (layout, at) => layouts.resolve(layout, at)),
  control,
  nextSeq: 1,
  floorUs: 0,
  ...more,
});

describe("what is saved comes back", () => {
  test("mixes, with everything about them", async () => {
    await using folder = await tempFolder();
    const saved = mix("a", { nextSeq: 77, floorUs: 9e15, control: { ...control, quarantined: ["x"] } });
    {
      using store = Store.open(folder.path);
      store.save({ put: [saved, mix("b")] });
      store.save({ put: [mix("c")], remove: ["b"] });
    }
    using store = Store.open(folder.path);
    expect(store.mixes().map(({ state }) => state.id)).toEqual(["a", "c"]);
    expect(store.mixes()[0]).toEqual(JSON.parse(JSON.stringify(saved)));
  });

  test("the last 256 answers of each mix", async () => {
    await using folder = await tempFolder();
    using store = Store.open(folder.path);
    for (let n = 0; n < 300; n++) {
      store.save({ answer: { mix: "a", key: `k${n}`, request: "r", answer: { n } } });
    }
    store.save({ answer: { mix: "b", key: "k0", request: "r", answer: null } });
    expect(store.answer("a", "k43")).toBeUndefined();
    expect(store.answer("a", "k44")).toEqual({ key: "k44", request: "r", answer: { n: 44 } });
    expect(store.answer("a", "k299")?.answer).toEqual({ n: 299 });
    expect(store.answer("b", "k0")?.answer).toBeNull();
  });

  test("a secret is made once", async () => {
    await using folder = await tempFolder();
    const make = (byte: number) => () => new Uint8Array(32).fill(byte);
    const first = Store.open(folder.path);
    expect(first.secret("key", make(1))[0]).toBe(1);
    expect(first.secret("key", make(2))[0]).toBe(1);
    first.close();
    using again = Store.open(folder.path);
    expect(again.secret("key", make(3))[0]).toBe(1);
  });
});

describe("what cannot be used is refused and left as it was", () => {
  const broken: [string, (path: string) => Promise<void> | void, RegExp][] = [
    ["garbage", (path) => writeFile(path, Buffer.alloc(8192, "x")), /not a database/],
    [
      "a newer format",
      (path) => {
        const db = new DatabaseSync(path);
        db.exec("PRAGMA user_version = 99");
        db.close();
      },
      /newer Tessera/,
    ],
    [
      "another program's database",
      (path) => {
        const db = new DatabaseSync(path);
        db.exec("PRAGMA application_id = 1");
        db.close();
      },
      /not a database of Tessera/,
    ],
    [
      "a damaged page",
      async (path) => {
        const bytes = await readFile(path);
        bytes.fill(0xff, 4096, 4096 * 3);
        await writeFile(path, bytes);
      },
      /damaged|malformed/,
    ],
  ];
  for (const [name, breakIt, message] of broken) {
    test(name, async () => {
      await using folder = await tempFolder();
      Store.open(folder.path).close();
      const path = join(folder.path, "tessera.db");
      await breakIt(path);
      const before = await readFile(path);
      expect(() => Store.open(folder.path)).toThrow(StorageError);
      expect(() => Store.open(folder.path)).toThrow(message);
      expect(before.equals(await readFile(path))).toBe(true);
    });
  }

  test("a folder in use by another process", async () => {
    await using folder = await tempFolder();
    const child = await startWriter(folder.path);
    expect(() => Store.open(folder.path)).toThrow(/locked/);
    child.kill("SIGKILL");
    await once(child, "exit");
    Store.open(folder.path).close();
  });

  test("a folder that cannot be written", async () => {
    await using folder = await tempFolder();
    await writeFile(join(folder.path, "file"), "");
    expect(() => Store.open(join(folder.path, "file", "data"))).toThrow(StorageError);
  });
});

test("only this user can read what it holds", async () => {
  await using folder = await tempFolder();
  Store.open(folder.path).close();
  expect((await stat(join(folder.path, "tessera.db"))).mode & 0o077).toBe(0);
});

test("everything that was acknowledged survives kill -9 at any moment", async () => {
  await using folder = await tempFolder();
  let acknowledged = -1;
  for (let round = 0; round < 5; round++) {
    const child = await startWriter(folder.path);
    child.on("message", (n) => {
      acknowledged = Number(n);
    });
    const target = acknowledged + 20 + round * 7;
    while (acknowledged < target) await once(child, "message");
    child.kill("SIGKILL");
    await once(child, "exit");
    using store = Store.open(folder.path);
    const revision = store.mixes()[0]?.state.revision ?? -1;
    // One more may have been written whose acknowledgement died on the way.
    expect(revision).toBeGreaterThanOrEqual(acknowledged);
    expect(store.answer("a", `k${acknowledged}`)?.answer).toBe(acknowledged);
    acknowledged = revision;
  }
});

/** A process that saves a mix again and again, its revision counting up, and tells each number once it is saved. */
async function startWriter(folder: string): Promise<ChildProcess> {
  const path = fileURLToPath(new URL("./fixtures/store-writer.ts", import.meta.url));
  const child = fork(path, [folder], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  await once(child, "message");
  return child;
}
