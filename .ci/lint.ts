/**
 * Rules of this project's style that `deno lint` does not have.
 */
/** Lines of the longest function. */
const MAX_FUNCTION_LINES = 80

const isSource = (file: string) => file.includes("/src/")

const countLines = (context: Deno.lint.RuleContext, node: Deno.lint.Node) =>
  context.sourceCode.getText(node).split("\n").length

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
