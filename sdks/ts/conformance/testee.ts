// Shows this SDK to the conformance suite: `testee.js driver` or `testee.js worker` (see conformance/docs/testee.md). It judges nothing and repairs
// nothing. What it does with the SDK is what a user could do, and the package does not hold it.

import { drive } from "./driver.js";
import { serveSuite } from "./worker.js";

const face = process.argv.at(-1);
if (face === "driver") await drive();
else if (face === "worker") await serveSuite();
else {
  process.stderr.write("the last argument is driver or worker; see conformance/docs/testee.md\n");
  process.exitCode = 2;
}
