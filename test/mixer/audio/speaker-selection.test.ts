import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ActiveSpeaker } from "../../../src/mixer/audio/active-speaker.ts";
import { type Candidate, SpeakerSelection } from "../../../src/mixer/audio/speaker-selection.ts";

const quiet = (id: string, more: Partial<Candidate> = {}): Candidate => ({
  id,
  policy: "speaker",
  priority: 0,
  audible: true,
  speaking: false,
  levelDb: -60,
  ...more,
});
const talks = (id: string, levelDb = -25, more: Partial<Candidate> = {}): Candidate =>
  quiet(id, { speaking: true, levelDb, ...more });

/** Gives the same candidates for so many seconds; returns who is mixed in the end. */
function go(
  selection: SpeakerSelection,
  seconds: number,
  candidates: readonly Candidate[],
): readonly string[] {
  for (let n = 0; n < seconds * 50; n++) selection.update(candidates);
  return selection.mixed;
}

const crowd = ["a", "b", "c", "d", "e", "f"];
const room = (...talking: readonly Candidate[]): readonly Candidate[] =>
  crowd.map((id) => talking.find((one) => one.id === id) ?? quiet(id));

describe("SpeakerSelection", () => {
  test("mixes all, ungated, while they are few", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 3 });
    expect(go(selection, 1, [quiet("a"), quiet("b"), talks("c")])).toEqual(["a", "b", "c"]);
    expect(go(selection, 1, [quiet("a", { audible: false }), quiet("b"), talks("c"), quiet("d")])).toEqual([
      "b",
      "c",
      "d",
    ]);
  });

  test("gates when they are many: who speaks is in at once, and stays 3 s", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    expect(go(selection, 5, room())).toEqual([]);
    expect(selection.update(room(talks("c")))).toEqual(["c"]);
    expect(go(selection, 2.9, room())).toEqual(["c"]);
    expect(go(selection, 0.2, room())).toEqual([]);
  });

  test("`always` is in beside the speakers, and takes no seat", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    const film = quiet("film", { policy: "always" });
    expect(go(selection, 1, [...room(talks("a"), talks("b")), film])).toEqual(["a", "b", "film"]);
    expect(go(selection, 5, [...room(), { ...film, audible: false }])).toEqual([]);
  });

  test("a full house yields the seat of who fell silent, the longest first", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    go(selection, 1, room(talks("a"), talks("b")));
    go(selection, 0.6, room(talks("b")));
    go(selection, 0.6, room());
    expect(go(selection, 0.02, room(talks("c", -50)))).toEqual(["b", "c"]);
  });

  test("who speaks keeps the seat against somebody as loud, and yields to somebody clearly louder", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    go(selection, 1, room(talks("a", -25), talks("b", -30)));
    expect(go(selection, 5, room(talks("a", -25), talks("b", -30), talks("c", -26)))).toEqual(["a", "b"]);
    expect(go(selection, 0.3, room(talks("a", -25), talks("b", -30), talks("c", -15)))).toEqual(["a", "b"]);
    expect(go(selection, 1, room(talks("a", -25), talks("b", -30), talks("c", -15)))).toEqual(["a", "c"]);
  });

  test("priority goes before loudness, both ways", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    go(selection, 1, room(talks("a", -20), talks("b", -30)));
    expect(
      go(selection, 0.1, room(talks("a", -20), talks("b", -30), talks("c", -45, { priority: 5 }))),
    ).toEqual(["a", "c"]);
    const loud = room(talks("a", -40), talks("c", -45, { priority: 5 }), talks("d", -5));
    expect(go(selection, 3, loud)).toEqual(["c", "d"]);
  });

  test("does not flap between equals: over a minute of six who all talk, the seats stay", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 3 });
    let changes = 0;
    let last = selection.mixed;
    for (let n = 0; n < 3000; n++) {
      const level = (k: number): number => -25 + 2 * Math.sin(n / 7 + k);
      const mixed = selection.update(crowd.map((id, k) => talks(id, level(k))));
      if (mixed !== last) changes += 1;
      last = mixed;
    }
    expect(last.length).toBe(3);
    expect(changes).toBe(1);
  });

  test("turning from few to many keeps who speaks", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 3 });
    go(selection, 2, [talks("e"), quiet("a"), quiet("b")]);
    expect(go(selection, 0.1, room(talks("e")))).toEqual(["e"]);
  });

  test("the array is the same as long as nothing changes, and who left is forgotten", () => {
    const selection = new SpeakerSelection({ maxSpeakers: 2 });
    const mixed = selection.update(room(talks("a")));
    expect(selection.update(room(talks("a")))).toBe(mixed);
    expect(selection.update([])).toEqual([]);
    expect(go(selection, 1, room())).toEqual([]);
  });

  test("never more than the seats, and never anybody inaudible, whatever happens", () => {
    const one = fc.record({
      audible: fc.boolean(),
      speaking: fc.boolean(),
      levelDb: fc.integer({ min: -90, max: 0 }),
      priority: fc.integer({ min: 0, max: 2 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.array(one, { minLength: 8, maxLength: 8 }), { maxLength: 60 }),
        (maxSpeakers, ticks) => {
          const selection = new SpeakerSelection({ maxSpeakers });
          for (const tick of ticks) {
            const candidates = tick.map(
              (state, k): Candidate => ({ id: `s${k}`, policy: k < 6 ? "speaker" : "always", ...state }),
            );
            const mixed = selection.update(candidates);
            const seated = candidates.filter((candidate) => mixed.includes(candidate.id));
            expect(seated.every((candidate) => candidate.audible)).toBe(true);
            const audible = candidates.filter((candidate) => candidate.audible);
            const many = audible.length > maxSpeakers;
            expect(seated.filter((candidate) => candidate.policy === "speaker").length).toBeLessThanOrEqual(
              maxSpeakers,
            );
            for (const candidate of audible)
              if (!many || candidate.policy === "always") expect(mixed).toContain(candidate.id);
          }
        },
      ),
    );
  });
});

describe("ActiveSpeaker", () => {
  function listen(speaker: ActiveSpeaker, seconds: number, candidates: readonly Candidate[]): string | null {
    for (let n = 0; n < seconds * 50; n++) speaker.update(candidates);
    return speaker.current;
  }

  test("nobody speaks: null", () => expect(listen(new ActiveSpeaker(), 5, room())).toBeNull());

  test("is there within 500 ms, but not for a cough", () => {
    const speaker = new ActiveSpeaker();
    expect(listen(speaker, 0.14, room(talks("b")))).toBeNull();
    expect(listen(speaker, 3, room())).toBeNull();
    expect(listen(speaker, 0.3, room(talks("b")))).toBe("b");
  });

  test("keeps the floor over pauses, and is null again 2 s after the last word", () => {
    const speaker = new ActiveSpeaker();
    listen(speaker, 1, room(talks("b")));
    expect(listen(speaker, 1.9, room())).toBe("b");
    expect(listen(speaker, 0.3, room())).toBeNull();
  });

  test("goes over to who answers, within 500 ms of a pause", () => {
    const speaker = new ActiveSpeaker();
    listen(speaker, 2, room(talks("b", -15)));
    expect(listen(speaker, 0.5, room(talks("c", -35)))).toBe("c");
  });

  test("does not flap between two equals", () => {
    const speaker = new ActiveSpeaker();
    listen(speaker, 1, room(talks("a")));
    const heard = new Set<string | null>();
    for (let n = 0; n < 3000; n++) {
      // Both pause now and then, for less than 400 ms.
      const one = n % 40 < 12 ? quiet("a") : talks("a", -25 + 2 * Math.sin(n / 9));
      const two = n % 33 < 12 ? quiet("b") : talks("b", -25 + 2 * Math.cos(n / 11));
      heard.add(speaker.update(room(one, two)));
    }
    expect([...heard]).toEqual(["a"]);
  });

  test("goes over to somebody clearly louder, once", () => {
    const speaker = new ActiveSpeaker();
    listen(speaker, 2, room(talks("a", -35)));
    expect(listen(speaker, 0.5, room(talks("a", -35), talks("b", -20)))).toBe("a");
    expect(listen(speaker, 1, room(talks("a", -35), talks("b", -20)))).toBe("b");
    expect(listen(speaker, 5, room(talks("a", -24), talks("b", -20)))).toBe("b");
  });

  test("a mute or a departure ends it at once", () => {
    const speaker = new ActiveSpeaker();
    listen(speaker, 1, room(talks("a")));
    expect(speaker.update(room(talks("a", -25, { audible: false })))).toBeNull();
    listen(speaker, 1, room(talks("a")));
    expect(speaker.update([])).toBeNull();
  });
});
