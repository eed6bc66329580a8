// A converter in JavaScript: measurements in CSV to one test report in JSON.
//
//     name,value,low,high,unit
//     supply,5.02,4.9,5.1,V
//
// Build it with componentize-js (@bytecodealliance/componentize-js from npm), against the contract's world `plugin`:
//
//     componentize-js app.js --wit wit/0.1.0 -n plugin --disable http fetch-event -o measurements-js.wasm
//
// A converter reaches no network, so what would bring it has to stay out.

import { createDocument } from "dropforge:converter/io@0.1.0";
import { log } from "dropforge:converter/log@0.1.0";

const COLUMNS = ["name", "value", "low", "high", "unit"];

// JSON Schema: the host checks what is configured, and fills in the defaults.
const OPTIONS = {
  type: "object",
  additionalProperties: false,
  properties: {
    stamp: {
      type: "boolean",
      default: false,
      description:
        "Puts an id and the time of conversion into the report. They are the same for every file, unless the host's configuration allows " +
        "`random` and `clocks`.",
    },
  },
};

export const converter = {
  describe() {
    return {
      name: "measurements-js",
      version: "1.0.0",
      description: "Measurements in CSV to a test report in JSON, in JavaScript",
      patterns: ["*.meas.csv"],
      mediaTypesIn: ["text/csv"],
      mediaTypesOut: ["application/json"],
      optionsSchema: JSON.stringify(OPTIONS),
      metrics: [],
      extra: [],
    };
  },

  probe(input) {
    const first = new TextDecoder().decode(input.read(4096)).split("\n", 1)[0].trim();
    return first === COLUMNS.join(",")
      ? { confidence: 90, reason: "the first line names the columns of measurements" }
      : { confidence: 0, reason: "the first line does not name the columns of measurements" };
  },

  convert(input, options) {
    const lines = readAll(input).split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    if (lines.shift() !== COLUMNS.join(",")) throw failure("malformed", `the first line must be ${COLUMNS.join(",")}`, 1);
    const measurements = lines.map((line, index) => measurement(line, index + 2));
    const passed = measurements.every((measurement) => measurement.passed);
    const report = { source: input.name(), passed, measurements };
    if (JSON.parse(options).stamp) {
      report.id = crypto.randomUUID();
      report.converted = new Date().toISOString();
    }

    const document = createDocument("application/json", `${input.name().replace(/\.meas\.csv$/, "")}.json`);
    document.setAttribute("passed", String(passed));
    document.write(new TextEncoder().encode(JSON.stringify(report, null, 1)));
    document.finish();
    log("info", "converted", [["measurements", String(measurements.length)]]);
    return { tag: "converted" };
  },
};

// All of it: reports are small. For large files, read and write in pieces.
function readAll(input) {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  try {
    for (let piece = input.read(65536); piece.length > 0; piece = input.read(65536)) text += decoder.decode(piece, { stream: true });
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw failure("encoding", "this is not UTF-8");
    throw error;
  }
}

function measurement(line, number) {
  const fields = line.split(",");
  if (fields.length !== COLUMNS.length) throw failure("malformed", `this line has not ${COLUMNS.length} fields`, number);
  const [name, , , , unit] = fields;
  const [value, low, high] = fields.slice(1, 4).map((field) => {
    if (field.trim() === "" || Number.isNaN(Number(field))) throw failure("validation", `'${field}' is no number`, number);
    return Number(field);
  });
  return { name, value, low, high, unit, passed: low <= value && value <= high };
}

// What `convert` throws to fail: a kind, a sentence for the person who has to mend the file, and the place.
function failure(kind, message, line) {
  return { kind, code: "", message, at: line === undefined ? undefined : { line: BigInt(line), column: undefined, offset: undefined } };
}
