// Output of a workload, appended as text nodes. Escape sequences of terminals are left out, and a carriage return
// begins the line anew, so that progress bars stay on one line.
const ESCAPES = /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

export default {
  props: { label: String, empty: String, cut: String, kept: Number },
  template: `
    <div class="log">
      <p v-if="!any" class="log-empty">{{ empty }}</p>
      <pre ref="text" class="log-text" tabindex="0" role="log" aria-live="off" :aria-label="label" @scroll="scrolled"></pre>
    </div>`,
  data() {
    return { any: false };
  },
  created() {
    this.following = true;
    this.line = "";
    this.length = 0;
    this.wasCut = false;
  },
  methods: {
    append(raw) {
      const text = raw.replace(ESCAPES, "").replace(/\r\n/g, "\n");
      if (!text) return;
      this.any = true;
      const box = this.$refs.text;
      const lines = (this.line + text).split("\n");
      if (this.line) this.dropLast(box);
      this.line = this.lastPart(lines.pop());
      const done = lines.map((line) => this.lastPart(line) + "\n").join("");
      if (done) this.add(box, done);
      if (this.line) this.add(box, this.line);
      this.shorten(box);
      if (this.following) box.scrollTop = box.scrollHeight;
    },
    lastPart(line) {
      const at = line.replace(/\r+$/, "").lastIndexOf("\r");
      return at < 0 ? line : line.slice(at + 1);
    },
    add(box, text) {
      box.appendChild(document.createTextNode(text));
      this.length += text.length;
    },
    dropLast(box) {
      this.length -= box.lastChild.data.length;
      box.removeChild(box.lastChild);
    },
    shorten(box) {
      while (this.length > this.kept && box.childNodes.length > 1) {
        this.length -= box.firstChild.data.length;
        box.removeChild(box.firstChild);
        this.wasCut = true;
      }
      if (this.wasCut) {
        this.add(box, "");
        box.insertBefore(document.createTextNode(this.cut), box.firstChild);
        this.length += this.cut.length;
        this.wasCut = false;
      }
    },
    follow(on) {
      this.following = on;
      const box = this.$refs.text;
      if (on) box.scrollTop = box.scrollHeight;
    },
    scrolled() {
      const box = this.$refs.text;
      if (box.scrollHeight - box.scrollTop - box.clientHeight < 4) this.following = true;
      else if (box.scrollTop < this.lastTop) this.following = false;
      this.lastTop = box.scrollTop;
    },
  },
};
