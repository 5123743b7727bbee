/**
 * Rules of this project's style that `deno lint` does not have.
 */
/** Lines of the longest function. */
const MAX_FUNCTION_LINES = 80

const isSource = (file: string) => file.includes("/src/")

const countLines = (context: Deno.lint.RuleContext, node: Deno.lint.Node) =>
  context.sourceCode.getText(node).split("\n").length

/** Files that are further away first, each group by path; packages come before all files. */
const rank = (source: string) => {
  const ups = source.match(/\.\.\//g)?.length ?? 0
  return source.startsWith(".") ? `1${9 - ups}${source.replaceAll("./", "").toLowerCase()}` : "0"
}

const plugin: Deno.lint.Plugin = {
  name: "latchkey",
  rules: {
    "max-function-lines": {
      create(context) {
        const check = (
          node:
            | Deno.lint.ArrowFunctionExpression
            | Deno.lint.FunctionExpression
            | Deno.lint.FunctionDeclaration,
        ) => {
          const lines = countLines(context, node)
          if (isSource(context.filename) && lines > MAX_FUNCTION_LINES) {
            context.report({ node, message: `${lines} lines; at most ${MAX_FUNCTION_LINES}` })
          }
        }
        return {
          ArrowFunctionExpression: check,
          FunctionExpression: check,
          FunctionDeclaration: check,
        }
      },
    },
    "sorted-imports": {
      create(context) {
        let last = ""
        return {
          ImportDeclaration(node) {
            const rankOfThis = rank(node.source.value)
            // Entry points begin with what must come before all else.
            if (rankOfThis < last && !context.filename.includes("/src/bin/")) {
              context.report({
                node,
                message: `Sort the imports: ${node.source.value} is too late`,
              })
            }
            last = rankOfThis
          },
        }
      },
    },
    "no-date": {
      create(context) {
        return {
          NewExpression(node) {
            if (
              isSource(context.filename) && !/\/src\/(?:domain|runtime)\//.test(context.filename) &&
              node.callee.type === "Identifier" && node.callee.name === "Date"
            ) {
              context.report({ node, message: "Use DateTime, or the database's clock" })
            }
          },
        }
      },
    },
  },
}

export default plugin
