// What our scripts put on a page's `window`, for the type checker.

interface Window {
  /** Address of the book's static files, ending in "/"; only on pages with a Jupyter widget. */
  dmnetStatic?: string;
  /** Settings of require.js, before it is loaded. */
  require?: { paths: Record<string, string>; waitSeconds: number };
  /** MathJax 3 once it is loaded, before that its settings. */
  MathJax?: {
    startup?: { promise: Promise<void> };
    typesetPromise: (elements: HTMLElement[]) => Promise<void>;
    Hub?: { Queue: (task: [string, unknown, HTMLElement]) => Promise<void> };
  };
}
