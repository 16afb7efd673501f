// The hashes of the page's script and of its style, as the policy has them.
const hash = async (name) => {
  const bytes = new TextEncoder().encode(document.querySelector(name).textContent);
  return btoa(String.fromCharCode(...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))));
};
return Promise.all([hash("script:not([type])"), hash("style")]);
