// A certified OpenID provider for the sign-in journey: PKCE is required, accounts are given.
//
//   node provider.mjs NODE_MODULES PORT REDIRECT_URI CLIENT_SECRET CLAIMS_JSON
//
// Whoever types the `sub` of one of the claims signs in as them, with any password.

import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'

const [, , modules, port, redirect, secret, given] = process.argv
const at = pathToFileURL(`${modules}/oidc-provider/lib/index.js`)
const { Provider } = await import(at)
const people = new Map(JSON.parse(given).map((claims) => [claims.sub, claims]))

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [
    {
      client_id: 'releaseline',
      client_secret: secret,
      redirect_uris: [redirect],
      post_logout_redirect_uris: [redirect],
    },
  ],
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['groups'],
  },
  conformIdTokenClaims: false, // the client reads them there
  pkce: { required: () => true },
  findAccount: (_, sub) => {
    const claims = people.get(sub)
    return claims && { accountId: sub, claims: () => claims }
  },
})
createServer(provider.callback()).listen(Number(port), '127.0.0.1')
