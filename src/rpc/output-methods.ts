import { z } from "zod";
import { OutputSpec, OutputUpdate } from "../contract/output-spec.ts";
import { Id } from "../contract/source-spec.ts";
import { InvalidArgumentError } from "../core/error.ts";
import type { Mix } from "../service/mix.ts";
import { changed, type OutputStateSpec, outputIn, outputOf, updatedOutput } from "../service/state.ts";
import { addedBefore, noteAdded } from "./added-before.ts";
import { describeOutput } from "./describe.ts";
import { type Method, method, ofMix } from "./method.ts";
import { refuseOutput } from "./not-supported.ts";
import { relocating } from "./pointer.ts";

const OfOutput = z.strictObject({ mix: Id, output: Id });

export const OUTPUT_METHODS: readonly Method[] = [
  method({
    name: "output.add",
    action: "control",
    params: z.strictObject({ mix: Id, output: OutputSpec }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, output: spec }) => {
      refuseOutput(spec, "/output");
      const mix = service.mix(id);
      const { outputs } = mix.state;
      const existing = addedBefore(mix, "output", outputs, spec);
      if (existing !== undefined) return describeOutput(mix, existing);
      const output = outputOf(await service.admission.output(spec, "/output"));
      const at = `/outputs/${outputs.length}`;
      const next = relocating(at, "/output", () => changed(mix.state, { outputs: [...outputs, output] }));
      using _targets = relocating(at, "/output", () => service.targets.reserve(next));
      const sdp = await mix.change(next);
      noteAdded(mix, "output", output.id, spec);
      return { ...describeOutput(mix, output), ...sdp };
    },
  }),
  method({
    name: "output.update",
    action: "control",
    params: OutputUpdate.extend({ mix: Id, output: Id }),
    covers: ofMix,
    handle: async ({ service }, { mix: id, output, ...update }) => {
      const mix = service.mix(id);
      return await replace(mix, updatedOutput(outputIn(mix.state, output), update));
    },
  }),
  method({
    name: "output.remove",
    action: "control",
    params: OfOutput,
    covers: ofMix,
    handle: async ({ service }, { mix: id, output }) => {
      const mix = service.mix(id);
      outputIn(mix.state, output);
      const outputs = mix.state.outputs.filter((one) => one.id !== output);
      await mix.change(changed(mix.state, { outputs }));
      return null;
    },
  }),
  method({
    name: "output.list",
    action: "control",
    reads: true,
    params: z.strictObject({ mix: Id }),
    covers: ofMix,
    handle: ({ service }, { mix: id }) => {
      const mix = service.mix(id);
      return mix.state.outputs.map((output) => describeOutput(mix, output));
    },
  }),
  method({
    name: "output.split",
    action: "control",
    params: OfOutput,
    covers: ofMix,
    handle: async ({ service }, { mix: id, output }) => {
      const mix = service.mix(id);
      await mix.split(recording(mix, output).id);
      return describeOutput(mix, outputIn(mix.state, output));
    },
  }),
  method({
    name: "output.pause",
    action: "control",
    params: OfOutput,
    covers: ofMix,
    handle: async ({ service }, { mix: id, output }) => {
      const mix = service.mix(id);
      return await replace(mix, { ...recording(mix, output), paused: true });
    },
  }),
  method({
    name: "output.resume",
    action: "control",
    params: OfOutput,
    covers: ofMix,
    handle: async ({ service }, { mix: id, output }) => {
      const mix = service.mix(id);
      return await replace(mix, { ...recording(mix, output), paused: false });
    },
  }),
];

async function replace(mix: Mix, output: OutputStateSpec): Promise<Record<string, unknown>> {
  const outputs = mix.state.outputs.map((one) => (one.id === output.id ? output : one));
  await mix.change(changed(mix.state, { outputs }));
  return describeOutput(mix, output);
}

/** Only what is written to files can be split, paused and resumed. */
function recording(mix: Mix, id: string): OutputStateSpec {
  const output = outputIn(mix.state, id);
  if (output.kind === "file") return output;
  throw new InvalidArgumentError("/output", `output ${id} is of kind ${output.kind}, not a recording`);
}
