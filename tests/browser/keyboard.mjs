// Everything a customer can see and do on their own pages, by keyboard alone, in German, on a
// phone of 320 pixels, without script. Each change is read back from the page after it.
//
//   node keyboard.mjs LINK CODE   LINK: the centre of a customer of the story who reads German;
//                                 CODE: of one of their messages
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const tools = createRequire(join(process.env.TOOLS, 'package.json'));
const puppeteer = tools('puppeteer-core');
const [link, code] = process.argv.slice(2);
const origin = new URL(link).origin;
const faults = [];
let steps = 0;

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  protocolTimeout: 30_000,
  args: ['--no-sandbox', '--disable-gpu'],
});
const page = await browser.newPage();
page.setDefaultNavigationTimeout(10_000);
await page.setViewport({ width: 320, height: 640 });
await page.setJavaScriptEnabled(false);
page.on('dialog', (dialog) => faults.push(`a dialog: ${dialog.message()}`));

const here = (wanted) => page.evaluate((selector) => document.activeElement.matches(selector), wanted);
const read = (selector, of = 'textContent') => page.$eval(selector, (e, key) => String(e[key]).trim(), of).catch(() => null);
const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());

/** Steps on until what has the keyboard is what is wanted, and can be seen to have it. */
async function tabTo(wanted) {
  for (let i = 0; i < 400; i += 1) {
    await page.keyboard.press('Tab');
    if (await here(wanted)) {
      const seen = await page.evaluate(() => {
        const e = document.activeElement;
        const box = e.getBoundingClientRect();
        const outline = getComputedStyle(e).outlineStyle !== 'none';
        return outline && box.top < innerHeight && box.bottom > 0 && box.left >= 0 && box.right <= innerWidth;
      });
      if (!seen) faults.push(`${page.url()}: ${wanted} has the keyboard and cannot be seen to have it`);
      return;
    }
  }
  throw new Error(`${page.url()}: ${wanted} cannot be reached by Tab`);
}

/** Presses the button that has the keyboard, and waits for the page that follows. */
const enter = () => Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);

async function replace(text) {
  await page.keyboard.down('Control');
  await page.keyboard.press('a');
  await page.keyboard.up('Control');
  await page.keyboard.type(text);
}

/** Types a date: its parts stand as in English, since Debian's browser speaks it by itself. */
async function typeDate(date) {
  const [year, month, day] = date.split('-');
  await page.keyboard.type(month + day + year);
}

async function typeTime(time) {
  const [hour, minute] = time.split(':').map(Number);
  const two = (number) => String(number).padStart(2, '0');
  await page.keyboard.type(`${two(hour % 12 || 12)}${two(minute)}${hour < 12 ? 'AM' : 'PM'}`);
}

/** A button of the form that has the keyboard: pressed, and what the next page says. */
async function does(value, says) {
  steps += 1;
  await tabTo(`button[value="${value}"]`);
  await enter();
  const said = await read('.said');
  if (!said?.startsWith(says)) faults.push(`${value}: the page says ${JSON.stringify(said)}, not ${says}`);
}

function is(what, found, wanted) {
  steps += 1;
  if (found !== wanted) faults.push(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
}

/** Goes to another page by its entry in the navigation. */
async function visit(path) {
  await tabTo(`nav a[href="${path}"]`);
  await enter();
  is('the page', new URL(page.url()).pathname, path);
}

/** Every code of six digits among the story's messages, the newest first. */
function codes() {
  const folder = process.env.OUTBOX;
  const files = readdirSync(folder).map((file) => join(folder, file));
  files.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  return files.map((file) => /^(\d{6})\r?$|: (\d{6})\b/m.exec(readFileSync(file, 'utf8')))
    .filter(Boolean).map((match) => match[1] ?? match[2]);
}

/** The code that was not there before. */
async function digits(before) {
  for (let i = 0; i < 100; i += 1) {
    const found = codes().find((code) => !before.has(code));
    if (found) return found;
    await new Promise((done) => { setTimeout(done, 100); });
  }
  throw new Error('no code came');
}

try {
  // The overview: what is planned, moved, sent now, or not at all.
  await page.goto(link);
  is('the language', await read('html', 'lang'), 'de-DE');
  await press('Tab');
  is('the first stop', await page.evaluate(() => document.activeElement.getAttribute('href')), '#main');
  await press('Enter');
  await tabTo('summary');
  await press('Enter');
  await tabTo('#to-1');
  const latest = await read('#to-1', 'max');
  const [date, time] = latest.split('T');
  await typeDate(date);
  await typeTime(time);
  await does('move', 'Verschoben');
  is('moved to', new Date(await read('form time', 'dateTime')).getTime() > Date.parse(date), true);
  const planned = (await page.$$('section[aria-labelledby=planned] form')).length;
  await does('mute', 'Diese Nachricht wird nicht gesendet');
  is('planned after not sending', (await page.$$('section[aria-labelledby=planned] form')).length, planned - 1);
  await does('now', 'Sie geht hinaus');

  // One case.
  await tabTo('#case-1');
  await press('End');
  await does('case', 'Gespeichert');
  is('this case', await read('#case-1', 'value'), 'muted');
  await tabTo('#case-1');
  await press('Home');
  await does('case', 'Gespeichert');
  is('this case again', await read('#case-1', 'value'), 'usual');

  // Everything optional, and back.
  await does('stop_all', 'Abbestellt');
  await does('undo', 'Rückgängig gemacht');

  // Choices.
  await visit('/centre/choices');
  const box = 'input[value="reminder:sms"]';
  const was = await read(box, 'checked');
  await tabTo(box);
  await press('Space');
  await tabTo('select[name="rhythm:reminder"]');
  await press('End');
  await tabTo('#gathered-day');
  await press('End');
  await tabTo('#gathered-at');
  await typeTime('17:45');
  await does('topics', 'Gespeichert');
  is('the topic', await read(box, 'checked'), was === 'true' ? 'false' : 'true');
  is('the rhythm', await read('select[name="rhythm:reminder"]', 'value'), 'weekly');
  is('the hour of digests', await read('#gathered-at', 'value'), '17:45');
  await tabTo('#first');
  await press('Home', 'ArrowDown', 'ArrowDown');
  await tabTo('#second');
  await press('Home', 'ArrowDown');
  await does('order', 'Gespeichert');
  is('the order', `${await read('#first', 'value')} ${await read('#second', 'value')}`, 'sms email');
  await tabTo('#from');
  await typeTime('21:15');
  await tabTo('#to');
  await typeTime('07:30');
  await does('quiet', 'Gespeichert');
  is('quiet hours', `${await read('#from', 'value')} ${await read('#to', 'value')}`, '21:15 07:30');
  await tabTo('#zone');
  await replace('Europe/Lisbon');
  await press('Escape');
  await does('zone', 'Gespeichert');
  is('the zone', await read('#zone', 'value'), 'Europe/Lisbon');
  await tabTo('#until');
  await typeDate(await read('#until', 'max'));
  await does('pause', 'Gespeichert');
  await does('resume', 'Gespeichert');
  is('no pause any more', await read('#until', 'value'), '');
  await tabTo('#locale');
  await press('Home');
  const other = await page.evaluate(() => document.activeElement.value);
  await tabTo('button[value=language]');
  await enter();
  is('the language chosen', (await read('html', 'lang')).slice(0, 2), other.slice(0, 2));
  await tabTo('#locale');
  await page.keyboard.type('Deu');
  await does('language', 'Gespeichert');
  is('the language again', (await read('html', 'lang')).slice(0, 2), 'de');
  await tabTo('#cap');
  await replace('3');
  await does('cap', 'Gespeichert');
  is('the limit', await read('#cap', 'value'), '3');
  await tabTo('input[name=discreet]');
  await press('Space');
  await does('discreet', 'Gespeichert');
  is('discretion', await read('input[name=discreet]', 'checked'), 'true');

  // What was told, and why.
  await visit('/centre/history');
  await tabTo('summary');
  await press('Enter');
  is('why', (await read('details[open] li'))?.length > 0, true);

  // Addresses: a code to a known one, a new one with its code, and away again.
  await visit('/centre/addresses');
  const before = new Set(codes());
  await does('send_code', 'Ein Code ist unterwegs');
  let found = await digits(before);
  before.add(found);
  await tabTo('#digits');
  await page.keyboard.type(found === '000000' ? '000001' : '000000');
  await does('prove', 'Das sind nicht die Ziffern');
  await tabTo('#digits');
  await page.keyboard.type(found);
  await does('prove', 'Danke');
  const known = (await page.$$('ul.plain > li')).length;
  await tabTo('#channel');
  await press('Home');
  await tabTo('#address');
  await page.keyboard.type('jonas.weber@example.com');
  await does('add', 'Ein Code ist zur neuen Adresse unterwegs');
  found = await digits(before);
  await tabTo('#new-digits');
  await page.keyboard.type(found);
  await does('confirm', 'Hinzugefügt');
  is('addresses', (await page.$$('ul.plain > li')).length, known + 1);
  is('the new address in full', (await page.content()).includes('jonas.weber@'), false);
  await tabTo('button[aria-label*="E-Mail"]');
  await enter();
  is('removed', (await read('.said'))?.startsWith('Entfernt'), true);
  is('addresses again', (await page.$$('ul.plain > li')).length, known);

  // A call: a window, another, none.
  await visit('/centre/call');
  await tabTo('input[value=soon]');
  await press('ArrowDown');
  await does('call', 'Danke');
  const first = await read('form.card p');
  await tabTo('input[value=soon]');
  await press('ArrowDown', 'ArrowDown', 'ArrowDown');
  await does('call', 'Danke');
  is('another window', (await read('form.card p')) === first, false);
  await does('cancel', 'Zurückgenommen');

  // Is this message yours?
  await page.goto(`${origin}/m/${code}`);
  is('ours', (await read('h1')), 'Diese Nachricht ist von uns');

  // My data: with me, and gone.
  await page.goto(`${origin}/centre/data`);
  await tabTo('button[value=export]');
  const [export_] = await Promise.all([
    page.waitForResponse((answer) => answer.request().method() === 'POST'), page.keyboard.press('Enter'),
  ]);
  is('the download', export_.headers()['content-disposition']?.startsWith('attachment'), true);
  await page.goto(`${origin}/centre/data`);
  await does('erase', 'Setzen Sie den Haken');
  await tabTo('input[name=sure]');
  await press('Space');
  await tabTo('button[value=erase]');
  await enter();
  is('forgotten', await read('h1'), 'Ihre Daten sind gelöscht');
  await page.goto(`${origin}/centre`);
  is('nobody any more', new URL(page.url()).pathname, '/centre/sign-in');
} catch (error) {
  faults.push(`${page.url()}: ${error.message}: ${await read('main').catch(() => '')}`.slice(0, 600));
}

await browser.close();
for (const line of faults) console.error(line);
console.log(`${steps} things done and read back by keyboard alone, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
