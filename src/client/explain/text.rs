//! The answer in words.

use std::fmt::{self, Write as _};

use super::report::{ConditionReport, Report, StatementReport};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sts_code {
            None => writeln!(f, "allowed: STS lets this token in")?,
            Some(code) => writeln!(f, "refused: STS answers {code}")?,
        }
        if let Some(role) = &self.role_arn {
            writeln!(f, "  role      {role}")?;
        }
        writeln!(f, "  provider  {}", self.provider_arn)?;
        writeln!(f, "  subject   {}", self.subject)?;
        writeln!(f, "  audience  {}", self.audience)?;
        if self.allowed {
            for what in &self.not_checked {
                writeln!(f, "  unchecked {what}")?;
            }
        }
        for (index, cause) in self.causes.iter().enumerate() {
            let heading = if index == 0 { "cause" } else { "then" };
            writeln!(f, "\n{heading} [{}]: {}", cause.code, cause.place)?;
            writeln!(f, "  {}", cause.problem)?;
            if let (Some(wanted), Some(got)) = (&cause.wanted, &cause.got) {
                side_by_side(f, wanted, got)?;
            }
            writeln!(f, "  to mend it: {}", cause.cure)?;
        }
        for statement in &self.statements {
            self::statement(f, statement)?;
        }
        if let Some(change) = &self.change {
            f.write_str("\nsmallest change that lets this token in (tried out):\n")?;
            for step in &change.steps {
                writeln!(f, "  {step}")?;
            }
        }
        Ok(())
    }
}

fn statement(f: &mut fmt::Formatter<'_>, statement: &StatementReport) -> fmt::Result {
    let sid = statement
        .sid
        .as_deref()
        .map_or_else(String::new, |sid| format!(" {sid:?}"));
    let applies = if statement.applies {
        "applies"
    } else {
        "does not apply"
    };
    writeln!(
        f,
        "\nstatement {}{sid}: {} {}: {applies}",
        statement.statement, statement.effect, statement.action
    )?;
    mark(f, statement.principal_met, "principal")?;
    mark(f, statement.action_met, "action")?;
    for condition in &statement.conditions {
        self::condition(f, condition)?;
    }
    Ok(())
}

fn mark(f: &mut fmt::Formatter<'_>, met: bool, what: &str) -> fmt::Result {
    let state = if met { "met    " } else { "NOT MET" };
    writeln!(f, "  {state}  {what}")
}

fn condition(f: &mut fmt::Formatter<'_>, condition: &ConditionReport) -> fmt::Result {
    let state = match condition.outcome {
        "met" => "met    ",
        "unknown" => "unknown",
        _ => "NOT MET",
    };
    writeln!(f, "  {state}  {} {}", condition.operator, condition.key)?;
    for (index, value) in condition.policy.iter().enumerate() {
        let nearest = condition.policy.len() > 1 && condition.nearest == Some(index);
        let note = if nearest { "   <- nearest" } else { "" };
        writeln!(f, "             policy   {value:?}{note}")?;
    }
    match &condition.request {
        Some(values) => {
            for value in values {
                writeln!(f, "             request  {value:?}")?;
            }
            Ok(())
        }
        None if condition.outcome == "unknown" => {
            writeln!(f, "             request  only STS knows")
        }
        None => writeln!(f, "             request  has no such key"),
    }
}

/// Both values, one below the other, and a mark where they begin to differ.
fn side_by_side(f: &mut fmt::Formatter<'_>, wanted: &str, got: &str) -> fmt::Result {
    writeln!(f, "    wanted  {wanted}")?;
    writeln!(f, "    has     {got}")?;
    let same = wanted
        .chars()
        .zip(got.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let differs = same < wanted.chars().count().max(got.chars().count());
    if same > 0 && differs {
        let mut line = String::from("            ");
        let _ = write!(line, "{}^", " ".repeat(same));
        writeln!(f, "{line}")?;
    }
    Ok(())
}
