// Draws plain elements from a list, given as JSON: [tag, attributes, ...children], where a child is text, another such list, or the number
// of a live element to put there. Text becomes text nodes and attributes are set as attributes; nothing is read as markup.
const REFUSED = /^(on|inner|outer|v-|:|@|\.)|^(textContent|srcdoc)$/i;

export default {
  props: { tree: String },
  emits: ["act"],
  computed: {
    parts() {
      return JSON.parse(this.tree);
    },
  },
  methods: {
    attributes(given) {
      const set = {};
      for (const [name, value] of Object.entries(given)) {
        if (name === "!click") set.onClick = () => this.$emit("act", value, {});
        else if (name === "!submit") set.onSubmit = (event) => this.submit(event, value);
        else if (!REFUSED.test(name)) set[name] = value;
      }
      return set;
    },
    submit(event, action) {
      event.preventDefault();
      this.$emit("act", action, Object.fromEntries(new FormData(event.target)));
      if (event.target.dataset.reset !== undefined) event.target.reset();
    },
    draw(node, live) {
      if (typeof node === "string") return node;
      if (typeof node === "number") {
        const element = live.get(node);
        live.delete(node);
        return element;
      }
      const [tag, given, ...children] = node;
      return Vue.h(tag, this.attributes(given), this.drawAll(children, live));
    },
    drawAll(children, live) {
      return children.map((child) => this.draw(child, live));
    },
  },
  render() {
    const live = new Map();
    for (const element of this.$slots.default ? this.$slots.default() : []) {
      if (element && element.key !== null) live.set(element.key, element);
    }
    const [tag, given, ...children] = this.parts;
    const drawn = this.drawAll(children, live);
    return Vue.h(tag, this.attributes(given), [...drawn, ...live.values()]);
  },
};
