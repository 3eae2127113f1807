// Asks Upbeat before playback. No answer in time means no ad. Node 18 or later, nothing to install.

const TIMEOUT_MS = Number(process.env.AD_TIMEOUT_MS ?? 50); // what the beat before a track can spare

export async function shouldShowAd(address, customer) {
  try {
    const url = `http://${address}/should-show-ad/${encodeURIComponent(customer)}`;
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }); // fetch keeps connections alive
    return response.ok && (await response.json()).show === true;
  } catch {
    return false;
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  const [address, ...customers] = process.argv.slice(2);
  for (const customer of customers) console.log(customer, await shouldShowAd(address, customer));
}
