import { FilterGraph } from "node-av";

// Loaded into a probing child by `--import`: stands for a driver that dies of what the filter `oscilloscope` asks for.
const parse = FilterGraph.prototype.segmentParse;
FilterGraph.prototype.segmentParse = function (this: FilterGraph, text: string, flags?: number) {
  if (text.includes("oscilloscope")) process.kill(process.pid, "SIGSEGV");
  return parse.call(this, text, flags);
};
