// Counts the parts of texts, one JSON string a line, with npm sms-segments-calculator.
const { SegmentedMessage } = require("sms-segments-calculator");
const lines = require("fs").readFileSync(0, "utf8").split("\n").filter(Boolean);
const counted = lines.map((line) => {
  const message = new SegmentedMessage(JSON.parse(line));
  return `${message.encodingName} ${message.segmentsCount}`;
});
process.stdout.write(counted.join("\n") + "\n");
