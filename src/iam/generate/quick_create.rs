//! Links that open a template in the console.

use url::form_urlencoded;

use crate::domain::Partition;

/// A link that opens the console's form for a new stack, filled in. The template has to lie in S3.
#[derive(Clone, Debug)]
pub struct QuickCreate {
    /// Where the template lies, `https`.
    pub template_url: String,
    /// The stack's name.
    pub stack_name: String,
    /// The region.
    pub region: String,
    /// The parameters that differ from their defaults.
    pub parameters: Vec<(String, String)>,
}

impl QuickCreate {
    /// The link, in the form that [CloudFormation documents].
    ///
    /// [CloudFormation documents]: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-console-create-stacks-quick-create-links.html
    #[must_use]
    pub fn link(&self, partition: Partition) -> String {
        let domain = match partition {
            Partition::AwsCn => "console.amazonaws.cn".to_owned(),
            Partition::AwsUsGov => "console.amazonaws-us-gov.com".to_owned(),
            _ => format!("{}.console.aws.amazon.com", self.region),
        };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("templateURL", &self.template_url)
            .append_pair("stackName", &self.stack_name);
        for (name, value) in &self.parameters {
            query.append_pair(&format!("param_{name}"), value);
        }
        // The console reads the fragment as it is, and would show a plus sign as one.
        let query = query.finish().replace('+', "%20");
        format!(
            "https://{domain}/cloudformation/home?region={}#/stacks/create/review?{query}",
            self.region
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_what_differs() {
        let link = QuickCreate {
            template_url: "https://b.s3.eu-central-1.amazonaws.com/role.json".to_owned(),
            stack_name: "idp-role".to_owned(),
            region: "eu-central-1".to_owned(),
            parameters: vec![("ExternalId".to_owned(), "a+b c&d".to_owned())],
        };
        assert_eq!(
            link.link(Partition::Aws),
            "https://eu-central-1.console.aws.amazon.com/cloudformation/home?region=eu-central-1\
             #/stacks/create/review?templateURL=https%3A%2F%2Fb.s3.eu-central-1.amazonaws.com\
             %2Frole.json&stackName=idp-role&param_ExternalId=a%2Bb%20c%26d"
        );
    }
}
