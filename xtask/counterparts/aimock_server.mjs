// Runs aimock, which speaks the protocols of many providers from a script.
//
// Prints one line of JSON with its URL once it listens, then serves until standard input closes, so that it never
// outlives whoever started it. Arguments: aimock's own program, then what it is given.
import { pathToFileURL } from "node:url";

const program = process.argv[2];
const print = console.log;
console.log = (...words) => {
  const url = words.join(" ").match(/listening on (http:\/\/\S+)/);
  if (url) print(JSON.stringify({ base_url: url[1] }));
  else console.error(...words);
};
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
process.argv.splice(1, 2, program);
await import(pathToFileURL(program).href);
