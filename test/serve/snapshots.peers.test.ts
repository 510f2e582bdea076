import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Served } from "./served.ts";

/** Half a period is 17 ms, and a still of such a picture takes longer than that to make. */
const VIEW = { id: "main", width: 1920, height: 1080, fps: "30/1" };
const STRETCHES = 5;
const LOOKS = 8;
const EVERY_MS = 125;

/** Ticks that were late or without a new picture while somebody looked {@link LOOKS} times. */
async function missedWhile(node: Served, look: () => Promise<void>): Promise<number> {
  const [before] = (await node.stats("m")).views;
  for (let looks = 0; looks < LOOKS; looks++) await Promise.all([look(), sleep(EVERY_MS)]);
  const [after] = (await node.stats("m")).views;
  if (before === undefined || after === undefined) throw new Error("the view is gone");
  expect(after.ticks - before.ticks).toBeGreaterThan(20);
  return after.late - before.late + after.repeated - before.repeated;
}

test("a view that is looked at many times a second keeps its beat", async () => {
  await using node = await Served.start();
  const source = { kind: "test", id: "bars", pattern: "bars" };
  await node.call("mix.create", { id: "m", views: [VIEW], sources: [source] });
  await node.happened("m", "source.online", "bars");
  const look = async (): Promise<void> => {
    const answer = await fetch(`${node.url}/snapshot/m/main.jpg`);
    expect(answer.status).toBe(200);
    await answer.arrayBuffer();
  };
  await look();
  const missed: number[] = [];
  for (let done = 0; done < STRETCHES; done++) missed.push(await missedWhile(node, look));
  // A still made on the thread that ticks costs a tick or two each, in every stretch; what else the machine does does not.
  expect(Math.min(...missed), `missed: ${missed}`).toBeLessThan(LOOKS / 2);
});
