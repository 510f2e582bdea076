import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { serveCommand, serveConfig } from "../../src/cli/config.ts";
import { isLoopback, listenAddress } from "../../src/cli/listen-address.ts";
import { InvalidArgumentError } from "../../src/core/error.ts";
import { tempFolder } from "../service/fixtures/node.ts";

const from = (argv: string[], env: Record<string, string> = {}) => serveConfig({ argv, env });

describe("settings", () => {
  test("have defaults that bind to loopback", () => {
    expect(from([])).toMatchObject({
      http: "127.0.0.1:8080",
      rtmp: "127.0.0.1:1935",
      rtmps: "off",
      data: "./data",
      files: [],
      allow: [],
      mixesPerWorker: 1,
      demo: false,
    });
    expect(Object.isFrozen(from([]))).toBe(true);
  });

  test("come from file, environment and flags, the later ones winning", async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, "f.json");
    await writeFile(
      file,
      JSON.stringify({ http: "1", rtmp: "2", rtmps: "3", mixesPerWorker: 7, files: ["/a"] }),
    );
    const env = { TESSERA_RTMP: "20", TESSERA_RTMPS: "30", TESSERA_ALLOW: "10.0.0.0/8, host", PATH: "/bin" };
    const config = from(["--config", file, "--rtmps", "300", "--demo", "--files", "/b", "/c"], env);
    expect(config).toMatchObject({
      http: "1",
      rtmp: "20",
      rtmps: "300",
      mixesPerWorker: 7,
      files: ["/b", "/c"],
      allow: ["10.0.0.0/8", "host"],
      demo: true,
    });
    expect(from([], { TESSERA_CONFIG: file })).toMatchObject({ http: "1" });
    expect(from([], { TESSERA_DEMO: "true", TESSERA_WORKERS: "3" })).toMatchObject({
      demo: true,
      workers: 3,
    });
  });

  test("can repeat a list's flag", () => {
    expect(from(["--allow", "a", "--allow", "b", "c"]).allow).toEqual(["a", "b", "c"]);
  });

  const wrong: [string, string[], Record<string, string>, RegExp][] = [
    ["an unknown flag", ["--htp", "1"], {}, /--htp.*Did you mean --http/s],
    ["an unknown variable", [], { TESSERA_HTPP: "1" }, /TESSERA_HTPP.*TESSERA_HTTP/],
    ["a word too many", ["now"], {}, /now/],
    ["a flag without its value", ["--http"], {}, /http/],
    ["a number that is none", ["--workers", "many"], {}, /workers/],
    ["a number out of range", ["--mixes-per-worker", "0"], {}, /mixesPerWorker/],
    ["a short token", ["--token", "short"], {}, /at least 8/],
    ["a log level that is none", ["--log", "loud"], {}, /log/],
    ["a file that is not there", ["--config", "/nowhere.json"], {}, /cannot be read/],
    ["AMQP", ["--amqp", "amqp://x"], {}, /not supported yet.*AMQP/],
    ["WebRTC", ["--webrtc", "127.0.0.1:40000"], {}, /not supported yet.*WebRTC/],
    ["RTSP", ["--rtsp", "off"], {}, /not supported yet/],
    ["SIP by variable", [], { TESSERA_SIP: "x" }, /not supported yet.*SIP/],
    ["partitions", ["--on-partition", "run"], {}, /not supported yet/],
  ];
  for (const [name, argv, env, message] of wrong) {
    test(`refuse ${name}`, () => {
      expect(() => from(argv, env)).toThrow(InvalidArgumentError);
      expect(() => from(argv, env)).toThrow(message);
    });
  }

  test("in a file have known names only", async () => {
    await using folder = await tempFolder();
    const file = join(folder.path, "f.json");
    const refused = async (content: string, message: RegExp): Promise<void> => {
      await writeFile(file, content);
      expect(() => from(["--config", file])).toThrow(message);
    };
    await refused('{"mixesPerWorkr": 1}', /mixesPerWorkr.*"mixesPerWorker"/);
    await refused('{"webrtc": "x"}', /not supported yet/);
    await refused("[]", /no JSON object/);
    await refused("{", /cannot be read/);
    await refused('{"files": "/a"}', /files/);
  });

  test("are all in the help", () => {
    const help = serveCommand().helpInformation();
    for (const flag of ["--http", "--rtmp", "--rtmps", "--data", "--files", "--allow", "--token", "--demo"]) {
      expect(help).toContain(flag);
    }
    expect(help).not.toContain("--amqp");
  });
});

describe("addresses", () => {
  const cases: [string, { host: string; port: number } | undefined, boolean?][] = [
    ["off", undefined],
    ["127.0.0.1:8080", { host: "127.0.0.1", port: 8080 }, true],
    ["8080", { host: "127.0.0.1", port: 8080 }, true],
    [":8080", { host: "::", port: 8080 }, false],
    ["[::1]:80", { host: "::1", port: 80 }, true],
    ["[::]:80", { host: "::", port: 80 }, false],
    ["0.0.0.0:1", { host: "0.0.0.0", port: 1 }, false],
    ["localhost:1", { host: "localhost", port: 1 }, true],
    ["localhost.evil.example:1", { host: "localhost.evil.example", port: 1 }, false],
    ["127.evil.example:1", { host: "127.evil.example", port: 1 }, false],
    ["10.0.0.1:1", { host: "10.0.0.1", port: 1 }, false],
  ];
  for (const [text, want, loopback] of cases) {
    test(text, () => {
      const address = listenAddress(text, "http");
      expect(address).toEqual(want);
      if (address !== undefined) expect(isLoopback(address)).toBe(loopback);
    });
  }
  for (const text of ["", "host", "host:", "host:x", "host:70000", "::1:80", "on"]) {
    test(`refuses ${JSON.stringify(text)}`, () =>
      expect(() => listenAddress(text, "http")).toThrow(InvalidArgumentError));
  }
});
