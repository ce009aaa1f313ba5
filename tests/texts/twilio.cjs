// Twilio's own SDK: judges signatures (`check`) and makes them (`sign`), one JSON object a line.
const twilio = require("twilio");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
const said = lines.map((line) => {
  const { token, url, fields, signature } = JSON.parse(line);
  return signature === undefined
    ? twilio.getExpectedTwilioSignature(token, url, fields)
    : String(twilio.validateRequest(token, signature, url, fields));
});
process.stdout.write(said.join("\n") + "\n");
