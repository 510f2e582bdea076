import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ViewState } from "../../src/contract/worker.ts";
import { us } from "../../src/core/time.ts";
import type { View } from "../../src/session/view.ts";
import { emptyView, viewState } from "./stage.ts";

const revision = (of: number, over: Partial<ViewState> = {}): ViewState =>
  viewState({ revision: of, ...over });

describe("a change of layout", () => {
  let view: View;
  beforeEach(() => {
    view = emptyView(revision(1));
  });
  afterEach(() => view.close());
  const tick = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i++) await view.tick(0);
  };

  test("comes on air at the next picture, and that is not late", async () => {
    await tick(3);
    const receipt = view.setLayout(revision(2), undefined);
    await tick(1);
    expect(await receipt).toMatchObject({ revision: 2, frame: 3, appliedPtsUs: 120_000, late: false });
  });

  test("asked for while a picture is being drawn comes with the one after it, and that is not late either", async () => {
    const glance = view.glance();
    const drawing = view.tick(0);
    const receipt = view.setLayout(revision(2), undefined);
    await drawing;
    await tick(1);
    expect(await receipt).toMatchObject({ frame: 1, late: false });
    glance[Symbol.dispose]();
  });

  test("comes at the first picture not before its time, to the picture", async () => {
    const receipt = view.setLayout(revision(2), us(80_001));
    await tick(3);
    expect(view.layout().revision).toBe(1);
    await tick(1);
    expect(await receipt).toMatchObject({ revision: 2, frame: 3, appliedPtsUs: 120_000, late: false });
  });

  test("whose time has passed comes at the next picture and says that it is late", async () => {
    await tick(5);
    const receipt = view.setLayout(revision(2), us(80_000));
    await tick(1);
    expect(await receipt).toMatchObject({ frame: 5, late: true });
  });

  test("for a later picture stays behind one for an earlier, in whatever order they were asked for", async () => {
    const later = view.setLayout(revision(3), us(160_000));
    const earlier = view.setLayout(revision(2), us(80_000));
    view.skipTo(us(400_000));
    await tick(1);
    expect([(await later).revision, (await earlier).revision, view.layout().revision]).toEqual([3, 2, 3]);
  });

  test("does not undo what was changed beside the layout meanwhile", async () => {
    const receipt = view.setLayout(revision(2), us(40_000));
    view.update(revision(1, { slate: "logo" }));
    await tick(2);
    await receipt;
    expect(view.state.slate).toBe("logo");
  });

  test("is laid over what came on air before it, if it says what it changes", async () => {
    const assign = { s2: "b", s1: null };
    const later = view.setLayout(revision(2), us(80_000), { assign, revisions: 1 });
    await tick(1);
    const layout = { ...view.state.layout, name: "another" };
    void view.setLayout(revision(2, { layout, assign: { s1: "a", s3: "c" } }), undefined);
    await tick(2);
    expect((await later).revision).toBe(3);
    expect(view.state).toMatchObject({ revision: 3, layout: { name: "another" } });
    expect(view.state.assign).toEqual({ s2: "b", s3: "c" });
  });

  test("that is only tried changes nothing", () => {
    expect(view.preview(revision(7)).revision).toBe(7);
    expect(view.layout().revision).toBe(1);
  });

  test("that waits when its view goes is answered with what was on air", async () => {
    const receipt = view.setLayout(revision(2), us(60e6));
    view.close();
    expect((await receipt).revision).toBe(1);
  });
});
