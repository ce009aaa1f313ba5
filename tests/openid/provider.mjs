// An OpenID provider on loopback for the tests: everybody signs in by naming themselves.
//   BACK      where it sends people back to
//   ACCOUNTS  {"name": {claims}}
//   IN_TOKEN  set: claims stand in the ID token; else only in what /me answers
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const accounts = JSON.parse(process.env.ACCOUNTS);
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'tidings', client_secret: 'a secret of the tests', redirect_uris: [process.env.BACK],
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], roles: ['roles'] },
  conformIdTokenClaims: !process.env.IN_TOKEN,
  cookies: { keys: ['a key of the tests'] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...accounts[id] }) }),
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email roles');
    await grant.save();
    return grant;
  },
});

const rest = provider.callback();
server.on('request', async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, issuer);
  if (!pathname.startsWith('/interaction/')) return rest(request, response);
  const account = searchParams.get('as');
  const result = account
    ? { login: { accountId: account } }
    : { error: 'access_denied', error_description: 'nobody' };
  try {
    await provider.interactionFinished(request, response, result);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
console.log(issuer);
