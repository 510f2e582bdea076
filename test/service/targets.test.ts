import { describe, expect, test } from "vitest";
import { TestNode } from "./fixtures/node.ts";

const URL_K = "rtmp://127.0.0.1/live/k";
const add = (mix: string, id: string, output: object): [string, object] => [
  "output.add",
  { mix, output: { id, kind: "rtmp", ...output } },
];

async function twoMixes(): Promise<TestNode> {
  const node = await TestNode.open();
  for (const id of ["a", "b"]) await node.call("mix.create", { id });
  return node;
}

describe("one stream key", () => {
  test("goes to one of two mixes that ask at once, and neither is harmed", async () => {
    await using node = await twoMixes();
    const answers = await Promise.all(
      ["a", "b"].map((mix) => node.send(...add(mix, "first", { url: URL_K }))),
    );
    const refused = answers.filter(({ error }) => error !== undefined);
    expect(refused).toHaveLength(1);
    expect(refused[0]?.error?.data).toMatchObject({ code: "ERR_INVALID_ARGUMENT", pointer: "/output" });
    for (const mix of ["a", "b"]) await node.call(...add(mix, "second", { url: `${URL_K}-${mix}` }));
  });

  test("is free again when who had it could not use it", async () => {
    await using node = await twoMixes();
    const source = { kind: "test", id: "s", name: "fault:refuse" };
    const spec = { sources: [source], outputs: [{ id: "x", kind: "rtmp", url: URL_K }] };
    expect((await node.send("mix.apply", { mix: "a", spec })).error?.data.code).toBe("ERR_DEVICE");
    await node.call(...add("b", "x", { url: URL_K }));
    await node.call("output.remove", { mix: "b", output: "x" });
    await node.call(...add("a", "x", { url: URL_K }));
  });

  const spellings: [string, object, boolean][] = [
    ["its default port", { url: "rtmp://127.0.0.1:1935/live/k" }, false],
    ["somebody in front of its host", { url: "rtmp://user:word@127.0.0.1/live/k" }, false],
    ["another port", { url: "rtmp://127.0.0.1:1936/live/k" }, true],
    ["RTMPS, which is another port", { url: "rtmps://127.0.0.1/live/k" }, true],
    ["another key", { url: "rtmp://127.0.0.1/live/K" }, true],
    ["another query", { url: "rtmp://127.0.0.1/live/k?source=x" }, true],
    ["a backup that is it", { url: "rtmp://127.0.0.1/live/x", backupUrl: URL_K }, false],
    ["a backup that is another's backup", { url: "rtmp://127.0.0.1/live/x", backupUrl: `${URL_K}2` }, false],
  ];
  for (const [name, output, isAnother] of spellings) {
    test(`with ${name} is ${isAnother ? "another" : "the same"}`, async () => {
      await using node = await twoMixes();
      await node.call(...add("a", "x", { url: URL_K, backupUrl: `${URL_K}2` }));
      for (const mix of ["a", "b"]) {
        const { error } = await node.send(...add(mix, "y", output));
        expect(error?.data.pointer, error?.message).toBe(isAnother ? undefined : "/output");
        if (isAnother) await node.call("output.remove", { mix, output: "y" });
      }
    });
  }

  test("may be its own backup, and has one name however its host is written", async () => {
    await using node = await TestNode.open();
    await node.call("mix.create", { id: "a" });
    await node.call(
      ...add("a", "x", { url: "rtmp://LocalHost/live/k", backupUrl: "rtmp://localhost/live/k" }),
    );
    const { error } = await node.send(...add("a", "y", { url: "rtmp://localhost.:1935/live/k" }));
    expect(error?.message).toMatch(/goes there/);
  });
});
