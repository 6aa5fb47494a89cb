import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Choose } from "./choose";
import { Rank } from "./rank";
import { Reports } from "./reports";
import { WatchPage } from "./watch";

const pages = [
  { path: "/rank", title: "Rank", Page: Rank },
  { path: "/choose", title: "Choose", Page: Choose },
  { path: "/watch", title: "Watch", Page: WatchPage },
  { path: "/reports", title: "Reports", Page: Reports },
];

function App() {
  const [path, setPath] = useState(location.pathname);
  const page = pages.find((each) => each.path === path) ?? pages[0]!;
  useEffect(() => {
    const follow = () => setPath(location.pathname);
    addEventListener("popstate", follow);
    return () => removeEventListener("popstate", follow);
  }, []);
  useEffect(() => {
    document.title = `${page.title} - imagerank`;
  }, [page]);
  const go = (event: MouseEvent, to: string) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    history.pushState(null, "", to);
    setPath(to);
  };
  return (
    <>
      <header>
        <span class="brand">imagerank</span>
        <nav aria-label="Pages">
          {pages.map(({ path: to, title }) => (
            <a key={to} href={to} aria-current={to === page.path ? "page" : undefined} onClick={(event) => go(event, to)}>
              {title}
            </a>
          ))}
        </nav>
      </header>
      <main>
        <page.Page />
      </main>
    </>
  );
}

const place = document.getElementById("app")!;
place.replaceChildren();
render(<App />, place);
