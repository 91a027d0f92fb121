// Reads one JSON object {secret, headers, body} a line and says of each whether its signature holds.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  try {
    new Webhook(secret).verify(body, headers);
    console.log("valid");
  } catch (fault) {
    console.log(`invalid: ${fault.message}`);
  }
}
