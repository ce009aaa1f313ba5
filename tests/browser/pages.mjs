// Every page of the customers of the story and of the console, in a real browser: 320, 768 and 1280 pixels wide,
// light and dark, with and without script. Asks axe-core for faults (WCAG 2.2 AA), that
// nothing runs off the side, that nothing is loaded from elsewhere, and that each of the
// customers' pages with its stylesheet is below 30 kB.
//
//   node pages.mjs LINKS [FOLDER]   LINKS: a centre link per line; FOLDER: for screenshots
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const tools = createRequire(join(process.env.TOOLS, 'package.json'));
const puppeteer = tools('puppeteer-core');
const axe = readFileSync(tools.resolve('axe-core/axe.min.js'), 'utf8');

const PAGES = ['', '/choices', '/history', '/addresses', '/call', '/data'];
const WIDTHS = [320, 768, 1280];
const MAX_BYTES = 30_000;
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

const [linksFile, folder] = process.argv.slice(2);
const links = readFileSync(linksFile, 'utf8').trim().split('\n');
const origin = new URL(links[0]).origin;
const faults = [];
let looked = 0;
const fault = (where, what) => faults.push(`${where}: ${what}`);

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  protocolTimeout: 30_000,
  args: ['--no-sandbox', '--disable-gpu', '--force-prefers-reduced-motion'],
});

async function visitor(width, scheme, script) {
  const context = await browser.createBrowserContext();
  const page = await context.newPage();
  await page.setViewport({ width, height: 800 });
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.setJavaScriptEnabled(script);
  page.script = script;
  page.bytes = 0;
  page.on('response', async (response) => {
    if (!response.url().startsWith(origin) && !response.url().startsWith('data:')) fault(response.url(), 'is loaded from elsewhere');
    if (response.status() >= 400 && response.request().resourceType() !== 'document') {
      fault(response.url(), `answers ${response.status()}`);
    }
    if (response.status() < 300) page.bytes += (await response.buffer().catch(() => '')).length;
  });
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) {
      fault(page.url(), message.text());
    }
  });
  return { context, page };
}

async function look(page, where) {
  looked += 1;
  // The page has been made; axe itself is a script.
  await page.setJavaScriptEnabled(true);
  await page.evaluate(axe);
  const found = await page.evaluate(
    (tags) => globalThis.axe.run(document, { runOnly: tags }),
    TAGS,
  );
  for (const { id, help, nodes } of found.violations) {
    fault(where, `${id}, ${help}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  }
  const over = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (over > 0) fault(where, `runs ${over} pixels off the side`);
  // The target size of WCAG 2.2 (2.5.8): 24 pixels, but for links in a line of text.
  const small = await page.evaluate(() => [...document.querySelectorAll('button, select, nav a, summary')]
    .filter((e) => e.getBoundingClientRect().height < 24 && e.offsetParent).map((e) => e.textContent.trim()));
  if (small.length) fault(where, `is too small to hit: ${small}`);
  await page.setJavaScriptEnabled(page.script);
}

async function shot(page, name) {
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
}

for (const [customer, link] of links.entries()) {
  for (const width of WIDTHS) {
    for (const scheme of ['light', 'dark']) {
      for (const script of width === 320 ? [true, false] : [true]) {
        const { context, page } = await visitor(width, scheme, script);
        await page.goto(link);
        for (const path of PAGES) {
          page.bytes = 0;
          await page.goto(`${origin}/centre${path}`, { waitUntil: 'load' });
          const where = `customer ${customer + 1} /centre${path} ${width} ${scheme} script ${script}`;
          if (!page.url().endsWith(`/centre${path}`)) fault(where, `led to ${page.url()}`);
          if (page.bytes > MAX_BYTES) fault(where, `has ${page.bytes} bytes`);
          await look(page, where);
          if (script) await shot(page, `${customer + 1}${path.replace('/', '-') || '-overview'}-${width}-${scheme}`);
        }
        await context.close();
      }
    }
  }
}

// The pages before any visit, and the answers to a fault and to a link that is not ours.
for (const scheme of ['light', 'dark']) {
  const { context, page } = await visitor(320, scheme, false);
  for (const path of ['/centre/sign-in', '/m/0000000000', '/c/forged', '/u/forged']) {
    await page.goto(origin + path, { waitUntil: 'load' });
    await look(page, `${path} ${scheme}`);
    await shot(page, `out${path.replaceAll('/', '-')}-${scheme}`);
  }
  await context.close();
}

// The console on the same store, and a customer's pages as an operator sees them.
{
  const { notifications } = await (await fetch(`${origin}/v1/notifications?limit=1`)).json();
  const paths = [
    '', '/planned', '/search?q=C-1', '/customers/C-1', '/cases/R-1001', '/customers/C-1/as',
    '/customers/C-1/as/choices', '/notifications', '/notifications?status=planned',
    '/notifications/many?do=cancel&status=planned', `/notifications/${notifications[0].id}`,
    '/notifications?status=nonsense', '/tasks', '/reports', '/suppressions', '/providers', '/webhooks', '/audit', '/restored',
    '/journeys', '/journeys/map/return', '/drafts/new', '/drafts/1', '/drafts/1/values/return', '/drafts/1/texts',
    '/drafts/1/text?file=messages/return/post-it.en.j2',
  ];
  for (const width of WIDTHS) {
    for (const scheme of ['light', 'dark']) {
      for (const script of width === 320 ? [true, false] : [true]) {
        const { context, page } = await visitor(width, scheme, script);
        for (const path of paths) {
          const answer = await page.goto(`${origin}/console${path}`, { waitUntil: 'load' });
          const where = `/console${path} ${width} ${scheme} script ${script}`;
          const wanted = path.includes('nonsense') ? 400 : 200;
          if (answer.status() !== wanted) fault(where, `answers ${answer.status()}`);
          if (!page.url().endsWith(`/console${path}`)) fault(where, `led to ${page.url()}`);
          await look(page, where);
          const name = path.replaceAll(/[^a-z]+/g, '-').slice(0, 40);
          if (script) await shot(page, `console${name}-${width}-${scheme}`);
        }
        await context.close();
      }
    }
  }
}

// What needs a code: have one sent, read it where the story's messages lie, enter it.
{
  const { context, page } = await visitor(320, 'light', false);
  await page.goto(links[0]);
  await page.goto(`${origin}/centre/addresses`);
  const submit = (name) => Promise.all([page.waitForNavigation(), page.click(`button[value=${name}]`)]);
  await submit('send_code');
  const digits = () => readdirSync(process.env.OUTBOX)
    .map((file) => readFileSync(join(process.env.OUTBOX, file), 'utf8'))
    .map((text) => /^(\d{6})\r?$/m.exec(text)?.[1]).find(Boolean);
  let found;
  for (let i = 0; i < 50 && !found; i += 1) {
    found = digits();
    if (!found) await new Promise((done) => { setTimeout(done, 100); });
  }
  if (!found) fault('code', 'did not arrive');
  await page.type('#digits', found ?? '000000');
  await submit('prove');
  await look(page, 'addresses, proven');
  await shot(page, 'proven-addresses');
  await page.goto(`${origin}/centre/data`);
  await look(page, 'data, proven');
  await shot(page, 'proven-data');
  if (!(await page.$('button[value=export]'))) fault('code', 'was not taken');
  await context.close();
}

// A phone's worth of the main pages, for the README.
for (const [customer, path, scheme, name] of [
  [0, '', 'light', 'overview'], [1, '/choices', 'dark', 'choices'], [2, '/history', 'light', 'history'],
  [0, '/call', 'dark', 'call'],
]) {
  const { context, page } = await visitor(360, scheme, true);
  await page.setViewport({ width: 360, height: 720 });
  await page.goto(links[customer]);
  await page.goto(`${origin}/centre${path}`);
  if (folder) await page.screenshot({ path: join(folder, `phone-${name}.png`) });
  await context.close();
}

await browser.close();
for (const line of faults) console.error(line);
console.log(`${looked} pages looked at, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
